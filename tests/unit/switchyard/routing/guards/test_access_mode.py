"""The access mode of sessions on SQLite files: read-only on replicas and read-only owners, and on no other alias."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.own_thread import in_own_thread

from switchyard.routing import allow_writes, read_only
from switchyard.routing.errors import AccessModeError, ReadOnlyBlockWriteError, ReadOnlyOwnerWriteError
from switchyard.routing.guards.access_mode import set_access_mode
from switchyard.routing.guards.fencing import is_write_refusal
from switchyard.testing import assert_queries

ALIASES = ("default", "replica", "legacy", "analytics")
HELD = {"replica", "legacy"}


@pytest.fixture(autouse=True)
def _files(django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[None]:
    """A file for each alias, with a table; each transaction begins with a lock for writing, if it may."""
    databases: dict[str, dict[str, Any]] = {}
    for alias in ALIASES:
        with sqlite3.connect(tmp_path / alias) as made:
            made.execute("CREATE TABLE written (x)")
        made.close()
        databases[alias] = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": tmp_path / alias,
            "OPTIONS": {"transaction_mode": "IMMEDIATE"},
        }
    with django_db_blocker.unblock(), connected(databases):
        yield


def run(alias: str, sql: str) -> list[tuple[Any, ...]]:
    with connections[alias].cursor() as cursor:
        return cursor.execute(sql).fetchall()  # type: ignore[no-any-return]


def takes_writes(alias: str) -> bool:
    """Return True if the server takes a write of the driver's own cursor."""
    connections[alias].ensure_connection()
    try:
        connections[alias].connection.execute("INSERT INTO written VALUES (1)")
    except sqlite3.OperationalError as error:
        if not is_write_refusal("sqlite", error):
            raise
        return False
    return True


def test_access_mode__of_each_alias() -> None:
    """The server refuses writes of the driver's own cursor on a replica and on a read-only owner."""
    assert {alias for alias in ALIASES if not takes_writes(alias)} == HELD


def test_access_mode__inside_allow_writes() -> None:
    """Writes are taken inside the block on its alias alone, and not after it, however the block ends."""
    with allow_writes("legacy", reason="a test"):
        run("legacy", "INSERT INTO written VALUES (1)")
        assert (takes_writes("legacy"), takes_writes("replica")) == (True, False)
        with allow_writes("legacy", reason="a test"):
            pass
        assert takes_writes("legacy")
    assert not takes_writes("legacy")

    with pytest.raises(ZeroDivisionError), allow_writes("legacy", reason="a test"):  # noqa: PT012 - the block is left
        run("legacy", "SELECT 1")
        raise ZeroDivisionError
    assert not takes_writes("legacy")


def test_access_mode__of_a_cursor_from_before_the_block() -> None:
    """A cursor that was made outside the block writes inside it, and the other way round it does not."""
    with connections["legacy"].cursor() as cursor:
        with allow_writes("legacy", reason="a test"):
            cursor.execute("INSERT INTO written VALUES (1)")
        with pytest.raises(ReadOnlyOwnerWriteError):
            cursor.execute("INSERT INTO written VALUES (1)")


def test_access_mode__no_query() -> None:
    """No statement about the mode counts as a query, and none is sent while the mode is right."""
    run("legacy", "SELECT 1")
    sent: list[str] = []
    connections["legacy"].connection.set_trace_callback(sent.append)
    with assert_queries(legacy=3):
        run("legacy", "SELECT 1")
        with allow_writes("legacy", reason="a test"):
            run("legacy", "INSERT INTO written VALUES (1)")
            run("legacy", "INSERT INTO written VALUES (1)")

    assert [sql for sql in sent if "PRAGMA" in sql] == ["PRAGMA query_only = OFF", "PRAGMA query_only = ON"]


def test_access_mode__of_an_alias_that_takes_writes() -> None:
    """Nothing is sent and nothing is remembered."""
    sent: list[str] = []
    connections["default"].ensure_connection()
    connections["default"].connection.set_trace_callback(sent.append)
    run("default", "SELECT 1")
    with allow_writes("default", reason="a test"):
        run("default", "SELECT 2")

    assert sent == ["SELECT 1", "SELECT 2"]
    assert vars(connections["default"]).get("access_mode") is None


def test_access_mode__transaction_with_a_lock_for_writing() -> None:
    """A read-only transaction begins without the lock of its `transaction_mode`, and inside allow_writes() with it."""
    with transaction.atomic("legacy"):
        assert run("legacy", "SELECT count(*) FROM written") == [(0,)]
        assert not takes_writes("legacy")
    with allow_writes("legacy", reason="a test"), transaction.atomic("legacy"):
        run("legacy", "INSERT INTO written VALUES (1)")

    assert connections["legacy"].transaction_mode == "IMMEDIATE"
    with pytest.raises(ReadOnlyOwnerWriteError, match="A hidden write was refused on 'legacy'"):
        run("legacy", "BEGIN IMMEDIATE")


def test_access_mode__in_async_code() -> None:
    """A coroutine inside allow_writes() writes; another one in its thread does not, between its steps and after."""

    @allow_writes("legacy", reason="a test")
    async def writer(between: Callable[[], Any]) -> None:
        await sync_to_async(run)("legacy", "INSERT INTO written VALUES (1)")
        await between()
        await sync_to_async(run)("legacy", "INSERT INTO written VALUES (1)")

    async def other() -> None:
        with pytest.raises(ReadOnlyOwnerWriteError):
            await sync_to_async(run)("legacy", "INSERT INTO written VALUES (1)")
        await sync_to_async(run)("legacy", "SELECT 1")
        refused.append(not await sync_to_async(takes_writes)("legacy"))

    async def both() -> None:
        outside = copy_context()
        await writer(lambda: asyncio.create_task(other(), context=outside))
        await other()

    refused: list[bool] = []
    asyncio.run(in_own_thread(both()))

    assert refused == [True, True]


def test_access_mode__in_another_thread() -> None:
    """allow_writes() holds in its own thread: another one has a context and a connection of its own."""
    seen: list[bool] = []

    def work() -> None:
        try:
            seen.append(takes_writes("legacy"))
        finally:
            connections["legacy"].close()

    with allow_writes("legacy", reason="a test"):
        run("legacy", "INSERT INTO written VALUES (1)")
        thread = Thread(target=work)
        thread.start()
        thread.join()

    assert seen == [False]


def test_access_mode__between_the_steps_of_a_generator() -> None:
    """A generator inside allow_writes() writes in its steps, and its consumer does not between them."""

    @allow_writes("legacy", reason="a test")
    def steps() -> Iterator[None]:
        for _ in range(2):
            run("legacy", "INSERT INTO written VALUES (1)")
            yield

    for _ in steps():
        run("legacy", "SELECT 1")
        assert not takes_writes("legacy")

    assert run("legacy", "SELECT count(*) FROM written") == [(2,)]


def test_access_mode__after_a_call_that_may_change_it() -> None:
    """After an unknown function the mode is sent again."""
    connections["legacy"].ensure_connection()
    driver = connections["legacy"].connection
    driver.create_function("loosen", 0, lambda: driver.execute("PRAGMA query_only = OFF") and 1)
    run("legacy", "SELECT loosen()")
    run("legacy", "SELECT 1")

    assert not takes_writes("legacy")


@pytest.mark.parametrize("alias", sorted(HELD))
def test_access_mode__executescript(alias: str) -> None:
    """A script passes no execute wrapper, and is refused like a statement."""
    for script, error in (
        ("INSERT INTO written VALUES (1)", Exception),
        ("PRAGMA query_only = OFF", AccessModeError),
        ("COMMIT; SELECT 1", AccessModeError),
    ):
        with connections[alias].cursor() as cursor, pytest.raises(error, match="was refused on"):
            cursor.executescript(script)

    assert not takes_writes(alias)


@pytest.mark.parametrize(
    "sql", ["COMMIT", "COMMIT; BEGIN", "ROLLBACK", "END", "BEGIN", "SELECT 1; COMMIT", "PRAGMA query_only = OFF"]
)
def test_read_only__a_statement_that_ends_its_transaction(sql: str) -> None:
    """Inside read_only() it is refused before SQL on the block's alias and owner, and a savepoint is not."""
    with read_only("default"):
        for alias in ("default", "analytics"):
            if alias == "default":
                with pytest.raises(ReadOnlyBlockWriteError, match="transaction control statement"):
                    run(alias, sql)
        with transaction.atomic("default"):
            run("default", "SELECT 1")
        assert not takes_writes("default")

    assert takes_writes("default")


def test_set_access_mode__a_closed_connection() -> None:
    """A closed connection stays closed."""
    set_access_mode(connections["legacy"])

    assert connections["legacy"].connection is None


class DriverError(Exception):
    """An error of a driver, with the attributes that servers set."""

    def __init__(self, *arguments: object, **attributes: object) -> None:
        super().__init__(*arguments)
        vars(self).update(attributes)


@pytest.mark.parametrize(
    ("vendor", "error", "expected"),
    [
        ("postgresql", DriverError(sqlstate="25006"), True),
        ("postgresql", DriverError(sqlstate="25001"), False),
        ("postgresql", DriverError(), False),
        ("mysql", DriverError(1792, "Cannot execute statement in a READ ONLY transaction."), True),
        ("mysql", DriverError(1290, "running with the --read-only option"), True),
        ("mysql", DriverError(1290, "running with the --secure-file-priv option"), False),
        ("mysql", DriverError(1836, "Running in read-only mode"), True),
        ("mysql", DriverError(1064, "syntax"), False),
        ("mysql", DriverError(), False),
        ("sqlite", DriverError(sqlite_errorcode=8), True),
        ("sqlite", DriverError(sqlite_errorcode=8 | (3 << 8)), True),
        ("sqlite", DriverError(sqlite_errorcode=5), False),
        ("postgresql", None, False),
    ],
)
def test_is_write_refusal(vendor: str, error: Exception | None, expected: bool) -> None:
    """Only the error of a read-only transaction, session or server is the refusal of a write."""
    assert is_write_refusal(vendor, error) is expected
