"""The lock of `migrate`: one `migrate` runs on an alias at a time. The others wait, and then find nothing to do."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path

from django.db.backends.base.base import BaseDatabaseWrapper

from switchyard.migrations._stopping import pause
from switchyard.routing.topology.sqlite_files import sqlite_file

_POLL_SECONDS = 0.5
# Take and release the lock. Both locks belong to the session: they end with the connection of a killed `migrate`, and
# no transaction ends them.
_LOCK = {
    "postgresql": ("SELECT pg_try_advisory_lock(%s)", "SELECT pg_advisory_unlock(%s)"),
    "mysql": (
        "SELECT GET_LOCK(CONCAT(%s, LEFT(SHA2(DATABASE(), 256), 32)), 0)",
        "SELECT RELEASE_LOCK(CONCAT(%s, LEFT(SHA2(DATABASE(), 256), 32)))",
    ),
}
_LOCK_KEY: dict[str, int | str] = {
    "postgresql": int.from_bytes(blake2b(b"switchyard.migrate", digest_size=8).digest(), signed=True),
    "mysql": "switchyard.migrate.",  # a lock of MySQL holds for all databases of the server
}
# Who holds the lock. PostgreSQL shows a key of 64 bits as two of 32.
_POSTGRESQL_HOLDER = """
    SELECT a.pid, a.usename, coalesce(host(a.client_addr), 'a local socket'), coalesce(a.state, 'state unknown'),
        round(extract(epoch FROM now() - a.state_change))
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND ((l.classid::bigint << 32) | l.objid::bigint) = %s
"""
_MYSQL_HOLDER = "SELECT IS_USED_LOCK(CONCAT(%s, LEFT(SHA2(DATABASE(), 256), 32)))"


class LockTimeoutError(Exception):
    """Another `migrate` has held the lock for longer than this one may wait."""


@contextmanager
def migration_lock(
    connection: BaseDatabaseWrapper, *, report: Callable[[str], None], seconds: float = float("inf")
) -> Iterator[None]:
    """Hold the lock of `migrate` on the alias in this block; wait up to `seconds` for a `migrate` that holds it.

    Raises LockTimeoutError, which names the holder, after that time; StoppedError after SIGTERM. A vendor without
    such locks gets none.
    """
    if connection.vendor == "sqlite":
        with _file_lock(connection.alias, report, seconds):
            yield
        return
    if connection.vendor not in _LOCK:
        yield
        return
    take, release = _LOCK[connection.vendor]
    key = _LOCK_KEY[connection.vendor]
    _wait_until(
        lambda: _returns_true(connection, take, key),
        lambda: _HOLDERS[connection.vendor](connection, key),
        alias=connection.alias,
        report=report,
        seconds=seconds,
    )
    try:
        yield
    finally:
        if connection.is_usable():
            _returns_true(connection, release, key)


def _wait_until(
    taken: Callable[[], bool], holder: Callable[[], str], *, alias: str, report: Callable[[str], None], seconds: float
) -> None:
    deadline = time.monotonic() + seconds
    if taken():
        return
    report(f"Waiting for another migrate of '{alias}' to end.")
    while not taken():
        if time.monotonic() >= deadline:
            raise LockTimeoutError(
                f"Another migrate of '{alias}' has held the lock for more than {seconds:g} s: {holder()}"
            )
        pause(min(_POLL_SECONDS, max(deadline - time.monotonic(), 0)))


@contextmanager
def _file_lock(alias: str, report: Callable[[str], None], seconds: float) -> Iterator[None]:
    """Hold a lock beside the alias' SQLite file: a transaction on an empty database, which ends with its process.

    The file of the lock stays: a `migrate` that waits has it open. A database in memory has no other `migrate`.
    """
    file = sqlite_file(alias)
    if file is None:
        yield
        return
    lock_file = Path(f"{file}-migrate")
    with closing(sqlite3.connect(lock_file, timeout=0, isolation_level=None)) as lock:
        _wait_until(
            lambda: _begins(lock),
            lambda: f"a process on this machine, which has {lock_file} open.",
            alias=alias,
            report=report,
            seconds=seconds,
        )
        yield


def _begins(lock: sqlite3.Connection) -> bool:
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _returns_true(connection: BaseDatabaseWrapper, sql: str, key: int | str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql, [key])
        return bool(cursor.fetchone()[0])


def _postgresql_holder(connection: BaseDatabaseWrapper, key: int | str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(_POSTGRESQL_HOLDER, [key])
        row = cursor.fetchone()
    if row is None:
        return "it has ended since."
    pid, user, address, state, seconds = row
    since = "" if seconds is None else f" for {seconds} s"
    return (
        f"server process {pid} of user '{user}', connected from {address}, {state}{since}. "
        f"If it hangs, end it: SELECT pg_terminate_backend({pid})"
    )


def _mysql_holder(connection: BaseDatabaseWrapper, key: int | str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(_MYSQL_HOLDER, [key])
        (holder,) = cursor.fetchone()
        # The tables of this list have other names on each vendor and other privileges; a user sees its own here.
        cursor.execute("SHOW PROCESSLIST")
        row = next((row for row in cursor.fetchall() if row[0] == holder), None)
    if row is None:
        return f"connection {holder} of another user." if holder else "it has ended since."
    number, user, address, _database, command, seconds = row[:6]
    return (
        f"connection {number} of user '{user}' from {address}, {command} for {seconds} s. "
        f"If it hangs, end it: KILL {number}"
    )


_HOLDERS = {"postgresql": _postgresql_holder, "mysql": _mysql_holder}
