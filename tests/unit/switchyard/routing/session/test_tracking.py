"""What a statement leaves owed: a write its position, a read in a replica's place a bound of what it showed."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections
from tests.support.published import lagging, replayed, sampled

from accounts.models import User
from switchyard.routing import without_stickiness
from switchyard.routing.connection_state import transaction_begins
from switchyard.routing.selection.select import decide
from switchyard.routing.session import context
from switchyard.routing.session.consistency import PendingPosition, consistency_from
from switchyard.routing.session.context import RoutingContext, activate, current, is_process_context
from switchyard.routing.session.tracking import record_read, record_write
from switchyard.sql.classifier import Statement, classify


def statement(sql: str) -> Statement:
    return classify(sql, "postgresql")


INSERT = statement("INSERT INTO accounts_user (id) VALUES (1)")


@pytest.fixture
def frame() -> Iterator[RoutingContext]:
    """A request whose owner has a replica that lags."""
    with lagging("replica") as group, activate(context.request_context()) as frame:
        replayed(group, replica=1)
        yield frame


def owed(frame: RoutingContext) -> PendingPosition:
    found = frame.consistency.required["default"]
    assert isinstance(found, PendingPosition)
    return found


def test_record_write__outside_a_transaction(frame: RoutingContext) -> None:
    """It had happened by now."""
    before = time.monotonic()
    record_write("default", INSERT)

    assert before <= owed(frame).written_at <= time.monotonic()
    assert owed(frame).open_connections == ()
    assert decide(User).rule == "pinned"


def test_record_write__in_a_transaction(frame: RoutingContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """It happens when the transaction ends."""
    connection = connections["default"]
    monkeypatch.setattr(connection, "in_atomic_block", True)
    monkeypatch.setattr(connection, "atomic_blocks", [SimpleNamespace(_from_testcase=False)])
    transaction_begins(connection)
    record_write("default", INSERT)

    assert owed(frame).open_connections == (connection,)


def test_record_write__in_a_testcases_transaction(frame: RoutingContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """That one never ends as far as the test is concerned."""
    connection = connections["default"]
    monkeypatch.setattr(connection, "in_atomic_block", True)
    monkeypatch.setattr(connection, "atomic_blocks", [SimpleNamespace(_from_testcase=True)])
    record_write("default", INSERT)

    assert owed(frame).open_connections == ()


@pytest.mark.parametrize("alias", ["replica", "analytics"])
def test_record_write__where_nothing_is_replicated(frame: RoutingContext, alias: str) -> None:
    """Nothing is owed: not to an owner without replicas, and not to a replica."""
    record_write(alias, INSERT)

    assert not frame.consistency.required


def test_record_write__without_stickiness(frame: RoutingContext) -> None:
    """Nothing is owed, and what was owed before still is."""
    with without_stickiness():
        record_write("default", INSERT)
        assert not frame.consistency.required
    record_write("default", INSERT)
    first = owed(frame)
    with without_stickiness():
        record_write("default", INSERT)

    assert owed(frame) is first


@pytest.mark.parametrize(
    ("sql", "owes"),
    [
        ("UPDATE django_session SET session_data = 'x'", False),
        ("DELETE FROM auth_group", False),
        ("UPDATE accounts_user SET email = 'x'", True),
        ("INSERT INTO accounts_user (id) SELECT 1 FROM django_session", True),
        ("INSERT INTO no_models_table (id) VALUES (1)", True),
        ("DELETE FROM django_session USING no_models_table", True),
        ("SELECT unknown_function()", True),
        ("COPY accounts_user FROM STDIN", True),
    ],
)
def test_record_write__tables(frame: RoutingContext, sql: str, *, owes: bool) -> None:
    """What is never read from a replica, sessions and the like, is not waited for; whatever is unknown is."""
    record_write("default", statement(sql))

    assert ("default" in frame.consistency.required) is owes


def test_record_write__in_step_replicas() -> None:
    """Nothing is owed."""
    with activate(context.request_context()) as frame:
        record_write("default", INSERT)

    assert not frame.consistency.required


def test_record_read__after_a_fall_back(frame: RoutingContext) -> None:
    """A sample from between the decision and the query does not bound what the query showed."""
    with lagging("replica") as group:
        replayed(group, replica=1, unfit=("replica",))
        assert decide(User).rule == "down"
        sampled(group, 5)
        record_read("default")
        assert type(frame.consistency.required_position("default")) is PendingPosition
        sampled(group, 6)

        assert frame.consistency.required_position("default") is not None


def test_record_read__nothing_owed(frame: RoutingContext) -> None:
    """A read owes nothing by itself."""
    record_read("default")
    record_read("replica")

    assert not frame.consistency.required


def test_record_read__a_write_that_nobody_knows_the_time_of() -> None:
    """It stays one."""
    with activate(context.request_context(consistency=consistency_from({"default": None}))) as frame:
        record_read("default")

        assert owed(frame).written_at == float("inf")


def test_record_read__of_no_request() -> None:
    """A process owes its writes, however much it reads: else it would never come back to a replica."""
    ledger: Any = current().consistency
    assert is_process_context(current())
    ledger.require("default", PendingPosition(5.0))
    try:
        record_read("default")
        assert ledger.required["default"].written_at == 5.0
    finally:
        ledger.required.clear()


def test_record_write__to_the_database_cache(frame: RoutingContext, settings: Any) -> None:
    """What is stored there is read from nowhere else: nobody owes it."""
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "Cached"}}

    record_write("default", statement("INSERT INTO cached (cache_key) VALUES ('a')"))
    assert not frame.consistency.required

    record_write("default", statement("INSERT INTO uncached (id) VALUES (1)"))
    assert "default" in frame.consistency.required
