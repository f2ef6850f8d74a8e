"""The requirement after a statement: the position of a write, or of a read of the owner in place of a replica."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections
from tests.support.published import at, consistency_from, lagging, replayed, sampled

from accounts.models import User
from switchyard.routing import without_stickiness
from switchyard.routing.connection_state import transaction_begins
from switchyard.routing.selection.select import decide
from switchyard.routing.session import context
from switchyard.routing.session.consistency import PendingPosition
from switchyard.routing.session.context import RoutingContext, activate, current, is_process_context
from switchyard.routing.session.tracking import record_read, record_write
from switchyard.sql import Statement, classify


def statement(sql: str) -> Statement:
    """Return the classification of a text for PostgreSQL."""
    return classify(sql, "postgresql")


INSERT = statement("INSERT INTO accounts_user (id) VALUES (1)")


@pytest.fixture
def request_context() -> Iterator[RoutingContext]:
    """The context of a request whose owner has a lagging replica."""
    with lagging("replica") as group, activate(context.request_context()) as active:
        replayed(group, replica=1)
        yield active


def pending(active: RoutingContext) -> PendingPosition:
    """Return the required position of `default`, which must be pending."""
    found = active.consistency.required["default"]
    assert isinstance(found, PendingPosition)
    return found


def test_record_write__outside_a_transaction(request_context: RoutingContext) -> None:
    """The write happened before now."""
    before = time.monotonic()
    record_write("default", INSERT)

    assert before <= pending(request_context).written_at <= time.monotonic()
    assert pending(request_context).open_connections == ()
    assert decide(User).rule == "pinned"


def test_record_write__in_a_transaction(request_context: RoutingContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write happens when its transaction ends."""
    connection = connections["default"]
    monkeypatch.setattr(connection, "in_atomic_block", True)
    monkeypatch.setattr(connection, "atomic_blocks", [SimpleNamespace(_from_testcase=False)])
    transaction_begins(connection)
    record_write("default", INSERT)

    assert pending(request_context).open_connections == (connection,)


def test_record_write__in_a_transaction_of_testcase(
    request_context: RoutingContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction of a TestCase does not count: it ends after the test."""
    connection = connections["default"]
    monkeypatch.setattr(connection, "in_atomic_block", True)
    monkeypatch.setattr(connection, "atomic_blocks", [SimpleNamespace(_from_testcase=True)])
    record_write("default", INSERT)

    assert pending(request_context).open_connections == ()


@pytest.mark.parametrize("alias", ["replica", "analytics"])
def test_record_write__alias_without_replicas(request_context: RoutingContext, alias: str) -> None:
    """Nothing is required of an owner without replicas, or of a replica."""
    record_write(alias, INSERT)

    assert not request_context.consistency.required


def test_record_write__without_stickiness(request_context: RoutingContext) -> None:
    """The write requires nothing, and an earlier requirement stays."""
    with without_stickiness():
        record_write("default", INSERT)
        assert not request_context.consistency.required
    record_write("default", INSERT)
    first = pending(request_context)
    with without_stickiness():
        record_write("default", INSERT)

    assert pending(request_context) is first


@pytest.mark.parametrize(
    ("sql", "required"),
    [
        ("UPDATE django_session SET session_data = 'x'", False),
        ("UPDATE django_session SET session_data = (SELECT name FROM auth_group)", True),
        ("DELETE FROM auth_group", True),
        ("UPDATE accounts_user SET email = 'x'", True),
        ("INSERT INTO accounts_user (id) SELECT 1 FROM django_session", True),
        ("INSERT INTO no_models_table (id) VALUES (1)", True),
        ("DELETE FROM django_session USING no_models_table", True),
        ("SELECT unknown_function()", True),
        ("COPY accounts_user FROM STDIN", True),
    ],
)
def test_record_write__tables(request_context: RoutingContext, sql: str, *, required: bool) -> None:
    """Writes of sessions require nothing. Unknown tables do, and tables that a read on a replica may join."""
    record_write("default", statement(sql))

    assert ("default" in request_context.consistency.required) is required


def test_record_write__replicas_without_lag() -> None:
    """Nothing is required."""
    with activate(context.request_context()) as active:
        record_write("default", INSERT)

    assert not active.consistency.required


def test_record_read__after_a_fallback(request_context: RoutingContext) -> None:
    """A sample between the decision and the query does not resolve the pending position."""
    with lagging("replica") as group:
        replayed(group, replica=1, unfit=("replica",))
        assert decide(User).rule == "down"
        sampled(group, 5)
        record_read("default")
        assert type(request_context.consistency.required_position("default")) is PendingPosition
        sampled(group, 6)

        assert request_context.consistency.required_position("default") is not None


def test_record_read__after_a_failed_fallback(request_context: RoutingContext) -> None:
    """A read that the owner did not answer requires nothing, and a later read of the owner does not stand for it."""
    with lagging("replica") as group:
        replayed(group, replica=1)
        request_context.consistency.require("default", at(4))
        assert decide(User).rule == "pinned"
        request_context.consistency.end_fallback_read("default", shown=False)
        record_read("default")

    assert request_context.consistency.required == {"default": at(4)}


def test_record_write__that_failed(request_context: RoutingContext) -> None:
    """The position before statements that failed stays known, until a write succeeds."""
    consistency = request_context.consistency
    with lagging("replica"):
        consistency.require("default", at(4))
        consistency.last_server["default"] = "a"
        assert consistency.without_uncertain("default") is None
        for _ in range(2):
            record_write("default", INSERT, failed=True)
        surely = consistency.without_uncertain("default")
        assert consistency.last_server == {"default": "a"}
        record_write("default", INSERT)

        assert surely is not None
        assert surely.required == {"default": at(4)}
        assert consistency.without_uncertain("default") is None


def test_record_read__nothing_required(request_context: RoutingContext) -> None:
    """A read alone requires nothing."""
    record_read("default")
    record_read("replica")

    assert not request_context.consistency.required


def test_record_read__write_at_an_unknown_time() -> None:
    """The time of the write stays unknown."""
    consistency = consistency_from({"default": PendingPosition(float("inf"))})
    with activate(context.request_context(consistency=consistency)) as active:
        record_read("default")

        assert pending(active).written_at == float("inf")


def test_record_read__outside_requests() -> None:
    """Reads of a process do not move its pending writes, so that the process returns to its replicas."""
    consistency: Any = current().consistency
    assert is_process_context(current())
    consistency.require("default", PendingPosition(5.0))
    try:
        record_read("default")
        assert consistency.required["default"].written_at == 5.0
    finally:
        consistency.required.clear()


def test_record_write__database_cache(request_context: RoutingContext, settings: Any) -> None:
    """The tables of the database cache are only read from their owner, so their writes require nothing."""
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "Cached"}}

    record_write("default", statement("INSERT INTO cached (cache_key) VALUES ('a')"))
    assert not request_context.consistency.required

    record_write("default", statement("INSERT INTO uncached (id) VALUES (1)"))
    assert "default" in request_context.consistency.required
