"""fallback_alias(): where a read goes that failed on a replica."""

import time

from django.db import connections
from tests.support.published import at, consistency_from, lagging, replayed, sampled
from tests.support.transactions import transaction

from accounts.models import User
from switchyard.routing import use_replica
from switchyard.routing.selection.select import decide, fallback_alias
from switchyard.routing.session import context
from switchyard.routing.session.consistency import PendingPosition
from switchyard.routing.session.context import activate
from switchyard.routing.session.tracking import record_read


def test_fallback_alias__the_only_replica() -> None:
    """The owner is read, and its position becomes required."""
    with lagging("replica") as group, activate(context.request_context()) as request:
        replayed(group, replica=4)

        assert fallback_alias("replica") == "default"
        record_read("default")
        assert "default" in request.consistency.required


def test_fallback_alias__another_replica() -> None:
    """A client without an earlier read goes to another caught-up replica; each replica is tried once."""
    with lagging("replica", "legacy") as group:
        replayed(group, replica=4, legacy=4)
        with activate(context.request_context()):
            assert fallback_alias("replica") == "legacy"
            assert fallback_alias("replica", tried={"legacy"}) == "default"
        with activate(context.request_context(consistency=consistency_from({"default": at(5)}))):
            assert fallback_alias("replica") == "default"


def test_fallback_alias__after_a_read_of_the_replica() -> None:
    """The owner is read: no other replica is sure to include the earlier read."""
    with lagging("replica", "legacy") as group, activate(context.request_context()):
        replayed(group, replica=4, legacy=4)
        decide(User)

        assert fallback_alias("replica") == "default"


def test_fallback_alias__in_an_open_transaction_of_the_owner() -> None:
    """The position of the transaction stays pending until the transaction ends, also after a read of the owner."""
    with lagging("replica") as group, activate(context.request_context()) as request, transaction("own"):
        replayed(group, replica=4)
        request.consistency.require("default", PendingPosition(time.monotonic(), connections["default"]))
        with use_replica():
            assert fallback_alias("replica") == "default"
        sampled(group, 7)

        assert type(request.consistency.required_position("default")) is PendingPosition


def test_fallback_alias__an_owner() -> None:
    """An owner has no substitute."""
    assert fallback_alias("analytics") == "analytics"
