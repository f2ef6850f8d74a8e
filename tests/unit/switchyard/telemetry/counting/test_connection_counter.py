"""Connections and transactions are counted by alias. tests/integration compares with the servers' counts."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler
from psycopg_pool import PoolTimeout
from pytest_django.plugin import DjangoDbBlocker

from switchyard.routing.connections import events
from switchyard.routing.connections.wrapper import routed
from switchyard.telemetry import snapshot
from switchyard.telemetry.metrics import (
    CONNECTION_ERRORS,
    CONNECTIONS_CLOSED,
    CONNECTIONS_OPENED,
    POOL_TIMEOUTS,
    TRANSACTION_DURATION,
    TRANSACTIONS,
)

INSERT = "INSERT INTO t VALUES (1)"


def connect(name: str) -> BaseDatabaseWrapper:
    """Return a new connection of the alias `analytics` to a database file."""
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": name}
    return routed(ConnectionHandler({"default": database, "analytics": database})["analytics"])


@pytest.fixture
def connection(
    tmp_path: Path, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BaseDatabaseWrapper]:
    """An open connection, by which `transaction.atomic(using="analytics")` goes, with a table."""
    with django_db_blocker.unblock():
        connection = connect(str(tmp_path / "db.sqlite3"))
        monkeypatch.setattr(transaction, "get_connection", lambda _using=None: connection)
        run(connection, "CREATE TABLE t (id integer PRIMARY KEY)")
        yield connection
        connection.close()


def run(connection: BaseDatabaseWrapper, *statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def added(act: Callable[[], object]) -> dict[tuple[str, ...], float]:
    """Return what the call adds to the counters of connections and transactions, by metric and label values."""
    names = {CONNECTIONS_OPENED, CONNECTIONS_CLOSED, CONNECTION_ERRORS, POOL_TIMEOUTS, TRANSACTIONS}
    names.add(f"{TRANSACTION_DURATION}_count")
    before = snapshot()
    act()
    return {
        (name, *(value for _, value in labels)): value - before[name, labels]
        for (name, labels), value in snapshot().items()
        if name in names and value != before[name, labels]
    }


def test_connections__opened_and_closed(connection: BaseDatabaseWrapper, tmp_path: Path) -> None:
    """Each connection of the driver counts once, however often it is used; a second close counts nothing."""

    def act() -> None:
        other = connect(str(tmp_path / "db.sqlite3"))
        run(other, "SELECT 1", "SELECT 1")
        other.close()
        other.close()

    assert added(act) == {(CONNECTIONS_OPENED, "analytics"): 1, (CONNECTIONS_CLOSED, "analytics"): 1}


def test_connections__failed(connection: BaseDatabaseWrapper, tmp_path: Path) -> None:
    """A connection that cannot be opened is an error, and is not opened."""

    def act() -> None:
        with suppress(OperationalError):
            run(connect(str(tmp_path / "nowhere" / "db.sqlite3")), "SELECT 1")

    assert added(act) == {(CONNECTION_ERRORS, "analytics"): 1}


def test_connections__pool_exhausted() -> None:
    """A wait for the pool that ends without a connection is no failed connection."""

    def act() -> None:
        events.connection_failed.send(None, alias="analytics", error=PoolTimeout())

    assert added(act) == {(POOL_TIMEOUTS, "analytics"): 1}


def committed(connection: BaseDatabaseWrapper) -> None:
    with transaction.atomic(using="analytics"):
        run(connection, INSERT)


def nested(connection: BaseDatabaseWrapper) -> None:
    with transaction.atomic(using="analytics"), transaction.atomic(using="analytics"):
        run(connection, INSERT)


def rolled_back(connection: BaseDatabaseWrapper) -> None:
    with suppress(KeyError), transaction.atomic(using="analytics"):
        run(connection, INSERT)
        raise KeyError


def inner_rolled_back(connection: BaseDatabaseWrapper) -> None:
    with transaction.atomic(using="analytics"), suppress(KeyError), transaction.atomic(using="analytics"):
        run(connection, INSERT)
        raise KeyError


def without_autocommit(connection: BaseDatabaseWrapper) -> None:
    connection.set_autocommit(False)
    run(connection, INSERT)
    connection.commit()
    connection.set_autocommit(True)


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (committed, "commit"),
        (nested, "commit"),
        (rolled_back, "rollback"),
        (inner_rolled_back, "commit"),
        (without_autocommit, "commit"),
    ],
)
def test_transactions__outcome(
    connection: BaseDatabaseWrapper, act: Callable[[BaseDatabaseWrapper], None], outcome: str
) -> None:
    """The outermost transaction counts, once, and its time."""
    assert added(lambda: act(connection)) == {
        (TRANSACTIONS, "analytics", outcome): 1,
        (f"{TRANSACTION_DURATION}_count", "analytics"): 1,
    }


def test_transactions__none(connection: BaseDatabaseWrapper) -> None:
    """A statement in autocommit mode is no transaction."""
    assert added(lambda: run(connection, INSERT)) == {}


def test_transactions__closed(connection: BaseDatabaseWrapper) -> None:
    """A connection that is closed in its transaction has rolled back."""

    def act() -> None:
        connection.set_autocommit(False)
        run(connection, INSERT)
        connection.close()

    assert added(act) == {
        (TRANSACTIONS, "analytics", "rollback"): 1,
        (f"{TRANSACTION_DURATION}_count", "analytics"): 1,
        (CONNECTIONS_CLOSED, "analytics"): 1,
    }
