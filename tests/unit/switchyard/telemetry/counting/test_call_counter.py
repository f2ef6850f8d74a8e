"""Every call into the driver is counted once, and nothing else. tests/integration compares with the servers' counts."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import SQLiteCursorWrapper
from django.db.transaction import TransactionManagementError
from django.db.utils import ConnectionHandler
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from psycopg import errors
from pytest_django import Settings
from pytest_django.plugin import DjangoDbBlocker

from switchyard.routing import RoutingError
from switchyard.routing.connections.calls import exempt
from switchyard.telemetry import counters, snapshot
from switchyard.telemetry.counters import current
from switchyard.telemetry.counting.call_counter import CallCounter, install
from switchyard.telemetry.metrics import DURATION, ERRORS, QUERIES, ROWS, VIOLATIONS

Counts = dict[tuple[str, ...], int]


def connect(path: Path, alias: str = "analytics") -> BaseDatabaseWrapper:
    """Return a new connection of this alias to a database file."""
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path / f"{alias}.sqlite3")}
    connection: BaseDatabaseWrapper = ConnectionHandler({"default": database, alias: database})[alias]
    return connection


@pytest.fixture
def connection(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[BaseDatabaseWrapper]:
    """A connection of the alias that owns the app `analytics`, with a table of the app."""
    with django_db_blocker.unblock():
        connection = connect(tmp_path)
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE analytics_analyticsevent (id integer PRIMARY KEY, kind text NOT NULL)")
        yield connection
        connection.close()


@contextmanager
def counting(*families: str) -> Iterator[Counts]:
    """Yield a dictionary that holds the increases of the families after the block: label values -> number."""
    counts: Counts = {}
    before = snapshot()
    yield counts
    for (name, labels), value in snapshot().items():
        if name in (families or (QUERIES,)) and (added := value - before[name, labels]):
            counts[tuple(value for _label, value in labels)] = int(added)


def select(connection: BaseDatabaseWrapper) -> list[tuple[Any, ...]]:
    """Read the table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM analytics_analyticsevent")
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


READ = ("analytics", "read", "analytics")
WRITE = ("analytics", "write", "analytics")
TX = ("analytics", "tx", "other")


def insert_one(connection: BaseDatabaseWrapper) -> Counts:
    """Insert a row."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO analytics_analyticsevent (kind) VALUES (%s)", ["login"])
    return {WRITE: 1}


def insert_many(connection: BaseDatabaseWrapper) -> Counts:
    """Insert rows in one call."""
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO analytics_analyticsevent (kind) VALUES (%s)", [["a"], ["b"], ["c"]])
    return {WRITE: 1}


def read_in_pieces(connection: BaseDatabaseWrapper) -> Counts:
    """Read, and fetch rows in several ways."""
    with connection.chunked_cursor() as cursor:
        cursor.execute("SELECT id FROM analytics_analyticsevent")
        cursor.fetchone()
        cursor.fetchmany(2)
        list(cursor)
    return {READ: 1}


def read_debugged(connection: BaseDatabaseWrapper) -> Counts:
    """Read through a cursor that logs."""
    connection.force_debug_cursor = True
    select(connection)
    connection.force_debug_cursor = False
    return {READ: 1}


def read_wrapped(connection: BaseDatabaseWrapper) -> Counts:
    """Read through nested execute wrappers."""

    def pass_on(execute: Callable[..., Any], *arguments: Any) -> Any:
        return execute(*arguments)

    with connection.execute_wrapper(pass_on), connection.execute_wrapper(pass_on):
        select(connection)
    return {READ: 1}


def refused_by_a_wrapper(connection: BaseDatabaseWrapper) -> Counts:
    """Try to read while an execute wrapper refuses."""

    def refuse(*_arguments: Any) -> Any:
        raise PermissionError

    with connection.execute_wrapper(refuse), suppress(PermissionError):
        select(connection)
    return {}


def violate(connection: BaseDatabaseWrapper) -> Counts:
    """Insert a row that a constraint refuses."""
    with connection.cursor() as cursor, suppress(IntegrityError):
        cursor.execute("INSERT INTO analytics_analyticsevent (kind) VALUES (NULL)")
    return {WRITE: 1}


def transact(connection: BaseDatabaseWrapper) -> Counts:
    """Send BEGIN, SAVEPOINT, ROLLBACK TO and COMMIT through a cursor, with a write in between."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SAVEPOINT a")
        insert_one(connection)
        cursor.execute("ROLLBACK TO a")
        cursor.execute("COMMIT")
    return {TX: 4, WRITE: 1}


def reconnect(connection: BaseDatabaseWrapper) -> Counts:
    """Connect anew, and read."""
    connection.close()
    select(connection)
    return {READ: 1}


def fetch_nothing(connection: BaseDatabaseWrapper) -> Counts:
    """Open and close a cursor."""
    connection.cursor().close()
    return {}


def run_script(connection: BaseDatabaseWrapper) -> Counts:
    """Run a read and a write in one call, which counts as a write."""
    with connection.cursor() as cursor:
        cursor.executescript("SELECT 1; DELETE FROM analytics_analyticsevent")
    return {WRITE: 1}


CALLS = (
    insert_one,
    insert_many,
    read_in_pieces,
    read_debugged,
    read_wrapped,
    refused_by_a_wrapper,
    violate,
    transact,
    reconnect,
    fetch_nothing,
    run_script,
)


@given(st.lists(st.sampled_from(CALLS), max_size=30))
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_queries__of_any_sequence_of_calls(
    connection: BaseDatabaseWrapper, calls: list[Callable[[BaseDatabaseWrapper], Counts]]
) -> None:
    """Each call is counted with its own labels, whatever was called before."""
    expected: Counter[tuple[str, ...]] = Counter()
    with counting() as counts:
        for call in calls:
            expected.update(call(connection))

    assert counts == expected


@given(st.lists(st.sampled_from(CALLS), max_size=10))
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_duration__of_any_sequence_of_calls(
    connection: BaseDatabaseWrapper, calls: list[Callable[[BaseDatabaseWrapper], Counts]]
) -> None:
    """Every counted call is timed."""
    expected: Counter[tuple[str, ...]] = Counter()
    with counting(f"{DURATION}_count") as counts:
        for call in calls:
            for (alias, operation, _app), number in call(connection).items():
                expected[alias, "sqlite", operation] += number

    assert counts == expected


def test_errors__of_a_call(connection: BaseDatabaseWrapper) -> None:
    """A call that raises is counted by its DB-API class; sqlite3 has no SQLSTATE."""
    with counting(ERRORS) as counts:
        violate(connection)
        with connection.cursor() as cursor, pytest.raises(OperationalError):
            cursor.execute("SELECT * FROM nowhere")

    assert counts == {
        ("analytics", "sqlite", "IntegrityError", "none"): 1,
        ("analytics", "sqlite", "OperationalError", "none"): 1,
    }


@pytest.mark.parametrize(
    ("error", "labels"),
    [
        (errors.UniqueViolation(), ("IntegrityError", "23")),
        (errors.QueryCanceled(), ("OperationalError", "57")),
        (errors.RaiseException(), ("ProgrammingError", "other")),
        (OperationalError(), ("OperationalError", "none")),
        (ValueError(), ("other", "none")),
    ],
)
def test_error_index__of_a_class_and_a_state(error: Exception, labels: tuple[str, str]) -> None:
    """A DB-API class with several SQLSTATE classes has a label value for each of them, and "other" for the rest."""
    counters = current()
    index = CallCounter(counters).error_index("default", "sqlite", type(error), getattr(error, "sqlstate", None))

    assert index == counters.layout.index_of(ERRORS, "default", "sqlite", *labels)


def test_queries__in_a_broken_transaction(connection: BaseDatabaseWrapper) -> None:
    """A statement that Django refuses does not reach the driver, so it is no query."""
    connection.in_atomic_block = True
    connection.set_rollback(True)
    with counting() as counts, pytest.raises(TransactionManagementError):
        select(connection)
    connection.set_rollback(False)
    connection.in_atomic_block = False

    assert counts == {}


def test_violations__of_a_refused_statement(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> None:
    """A statement that the guard refuses is a violation, and no query."""
    with django_db_blocker.unblock():
        replica = connect(tmp_path, "replica")
        with counting(QUERIES, VIOLATIONS) as counts, pytest.raises(RoutingError), replica.cursor() as cursor:
            cursor.execute("CREATE TABLE here (id integer)")
        replica.close()

    assert counts == {("replica_write", "replica"): 1}


def test_violations__of_every_kind() -> None:
    """Each kind of violation has a child of its own."""
    counters = current()

    indexes = {counters.layout.index_of(VIOLATIONS, error.kind, "default") for error in RoutingError.__subclasses__()}

    assert len(indexes) == len({error.kind for error in RoutingError.__subclasses__()})
    assert counters.layout.index_of(VIOLATIONS, "other", "default") not in indexes


def test_queries__on_an_alias_outside_the_settings(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> None:
    """They count as "other", so that no alias made at run time adds a series."""
    with django_db_blocker.unblock():
        tenant = connect(tmp_path, "tenant_17")
        with counting() as counts, tenant.cursor() as cursor:
            cursor.execute("SELECT 1")
        tenant.close()

    assert counts == {("other", "read", "other"): 1}


def test_queries__of_an_exempt_connection(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> None:
    """The connection of a health check is not counted."""
    with django_db_blocker.unblock():
        probe = connect(tmp_path)
        exempt(probe)
        with counting() as counts, probe.cursor() as cursor:
            cursor.execute("SELECT 1")
        probe.close()

    assert counts == {}


def test_queries__of_threads_at_the_same_time(connection: BaseDatabaseWrapper, tmp_path: Path) -> None:
    """No call of any thread is lost."""
    barrier = threading.Barrier(6)

    def read() -> None:
        own = connect(tmp_path)
        barrier.wait()
        for _ in range(200):
            select(own)
        own.close()

    threads = [threading.Thread(target=read) for _ in range(6)]
    with counting() as counts:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert counts == {READ: 1_200}


def test_queries__from_async_code(connection: BaseDatabaseWrapper, tmp_path: Path) -> None:
    """Queries that coroutines send through threads are counted."""

    def read() -> None:
        own = connect(tmp_path)
        select(own)
        own.close()

    async def read_side_by_side() -> None:
        await asyncio.gather(*(sync_to_async(read, thread_sensitive=False)() for _ in range(20)))

    with counting() as counts:
        asyncio.run(read_side_by_side())

    assert counts == {READ: 20}


def test_cursor__while_it_counts(connection: BaseDatabaseWrapper) -> None:
    """The cursor is still an instance of the driver's class, and takes the driver's attributes."""
    with connection.cursor() as cursor:
        raw = cursor.cursor
        raw.row_factory = lambda _cursor, row: list(row)
        cursor.execute("SELECT 1, 2")
        row = cursor.fetchone()

    assert isinstance(raw, SQLiteCursorWrapper)
    assert row == [1, 2]


def test_cursor__of_many_connections(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> None:
    """One class serves all connections of an alias, so new connections leave no classes behind."""
    classes = set()
    with django_db_blocker.unblock():
        for _ in range(5):
            connection = connect(tmp_path)
            classes.add(type(connection.cursor().cursor))
            connection.close()

    assert len(classes) == 1


def test_install__with_a_directory_that_cannot_be_written(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the setting, the cause and the remedy."""
    monkeypatch.setattr(counters, "_current", None)
    (tmp_path / "file").touch()
    settings.SWITCHYARD = {**settings.SWITCHYARD, "METRICS_DIR": str(tmp_path / "file" / "metrics")}

    with pytest.raises(ImproperlyConfigured, match=r"METRICS_DIR.*Not a directory.*leave it out"):
        install()


def test_install__again(connection: BaseDatabaseWrapper) -> None:
    """A second `ready()`, as when a test overrides INSTALLED_APPS, loses no count and counts nothing twice."""
    with counting() as counts:
        install()
        expected = insert_one(connection)

    assert counts == expected


def fetch_in_parts(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5")
        cursor.fetchone()
        cursor.fetchmany(2)
        next(cursor.cursor)
        cursor.fetchall()
        cursor.fetchone()


def write_rows(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO analytics_analyticsevent (kind) VALUES (%s)", [["a"], ["b"], ["c"]])
        cursor.execute("UPDATE analytics_analyticsevent SET kind = 'd' WHERE kind <> 'a'")


def return_written_rows(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO analytics_analyticsevent (kind) VALUES ('a') RETURNING id")
        cursor.fetchall()


@pytest.mark.parametrize(
    ("run", "returned", "affected"),
    [(fetch_in_parts, 5, 0), (write_rows, 0, 5), (return_written_rows, 1, 0)],
)
def test_rows__sqlite(
    connection: BaseDatabaseWrapper, run: Callable[[BaseDatabaseWrapper], None], returned: int, affected: int
) -> None:
    """Rows count when the program fetches them. SQLite knows no affected rows before the last row of RETURNING."""
    with counting(ROWS) as counts:
        run(connection)

    expected = {("analytics", "returned"): returned, ("analytics", "affected"): affected}
    assert counts == {labels: rows for labels, rows in expected.items() if rows}
