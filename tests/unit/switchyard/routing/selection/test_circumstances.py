"""Where a read would go in other circumstances. Nothing of this process changes by the question."""

from collections.abc import Iterator
from itertools import product

import pytest
from tests.support.published import lagging, replayed

from accounts.models import User
from switchyard.routing import explain_route
from switchyard.routing.connection_state import program_transaction_on
from switchyard.routing.selection.circumstances import Circumstances, supposed
from switchyard.routing.selection.explain import explain_supposed_route
from switchyard.routing.session import context
from switchyard.routing.session.context import activate, current
from switchyard.routing.topology.replication import ReplicationSet
from switchyard.telemetry import snapshot


@pytest.fixture
def group() -> Iterator[ReplicationSet]:
    """A set with two fit replicas, in a routing context of the test's own."""
    with lagging("replica", "legacy") as group, activate(context.task_context()):
        replayed(group, replica=500, legacy=600)
        yield group


@pytest.mark.parametrize("holds", list(product([False, True], repeat=4)))
def test_supposed__changes_nothing(group: ReplicationSet, holds: tuple[bool, ...]) -> None:
    """Afterwards the snapshot, the context and the counters are those of before, and so is the next read."""
    before = group.snapshot, current(), snapshot(), explain_route(User)
    explain_supposed_route(User, Circumstances(*holds))

    assert (group.snapshot, current(), snapshot(), explain_route(User)) == before
    assert program_transaction_on("default") is None
    assert current().consistency.is_empty


def test_supposed__transaction_of_this_thread(group: ReplicationSet) -> None:
    """Inside the block the supposed transaction is open, and only there."""
    with supposed(User, Circumstances(in_transaction=True)):
        assert program_transaction_on("default") is not None
        assert program_transaction_on("analytics") is None

    assert program_transaction_on("default") is None


def test_supposed__circumstances_of_now(group: ReplicationSet) -> None:
    """What holds for the request that asks does not count: only the circumstances do."""
    with activate(context.request_context(unsafe_method=True)):
        assert explain_supposed_route(User, Circumstances()).rule == "replica"
