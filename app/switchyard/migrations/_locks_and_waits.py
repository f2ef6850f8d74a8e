"""Locks and waits of `migrate`: a server that starts, another `migrate` that runs, a statement that takes long."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from switchyard.routing.topology.sqlite_files import sqlite_file

_MAX_PAUSE_SECONDS = 5.0
# mysqlclient's error numbers: no server at the socket, host or name; gone away; too many connections; shutting down.
_MYSQL_UNREACHABLE = {2002, 2003, 2005, 2006, 2013, 1040, 1053}
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


def wait_for_server(connection: BaseDatabaseWrapper, *, seconds: float, report: Callable[[str], None]) -> None:
    """Connect; try again for up to `seconds` while no server answers. `report` takes a line before each wait.

    Raises OperationalError after that time, and at once for an error that a wait does not end (a wrong password).
    """
    deadline = time.monotonic() + seconds
    pause = 0.25
    while True:
        try:
            return connection.ensure_connection()
        except OperationalError as error:
            if not _is_unreachable(connection.vendor, error) or time.monotonic() + pause > deadline:
                raise
        report(f"Waiting for the server of '{connection.alias}'.")
        time.sleep(pause)
        pause = min(2 * pause, _MAX_PAUSE_SECONDS)


def _is_unreachable(vendor: str, error: OperationalError) -> bool:
    """Return True if the server may not have started yet. A server that asked for a password has started."""
    if vendor == "mysql":
        return bool(error.args) and error.args[0] in _MYSQL_UNREACHABLE
    attempt = getattr(error.__cause__, "pgconn", None)  # psycopg keeps the failed attempt; a pool does not
    return vendor == "postgresql" and not (attempt and (attempt.used_password or attempt.needs_password))


@contextmanager
def without_time_limits(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Remove the time limit of statements on this connection. The time limit of lock waits stays.

    The drivers read the limits when they connect, so an open connection is closed before and after the block.
    """
    limited = connection.settings_dict
    if connection.vendor not in _UNLIMITED:
        yield
        return
    connection.close()
    connection.settings_dict = {**limited, "OPTIONS": _UNLIMITED[connection.vendor](limited["OPTIONS"])}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = limited


def _without_statement_timeout(options: dict[str, Any]) -> dict[str, Any]:
    unlimited = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0"
    return {**options, "options": f"{options.get('options', '')} {unlimited}".strip()}


def _without_read_timeout(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != "read_timeout"}


_UNLIMITED = {
    "postgresql": _without_statement_timeout,
    "mysql": _without_read_timeout,
}


@contextmanager
def migration_lock(connection: BaseDatabaseWrapper, *, report: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of `migrate` on the alias in this block; wait without limit for a `migrate` that holds it."""
    if connection.vendor == "sqlite":
        with _file_lock(connection.alias, report):
            yield
        return
    if connection.vendor not in _LOCK:
        yield
        return
    take, release = _LOCK[connection.vendor]
    key = _LOCK_KEY[connection.vendor]
    if not _returns_true(connection, take, key):
        report(f"Waiting for another migrate of '{connection.alias}' to end.")
        while not _returns_true(connection, take, key):
            time.sleep(1)
    try:
        yield
    finally:
        if connection.is_usable():
            _returns_true(connection, release, key)


@contextmanager
def _file_lock(alias: str, report: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock beside the alias' SQLite file: a transaction on an empty database, which ends with its process.

    The file of the lock stays: a `migrate` that waits has it open. A database in memory has no other `migrate`.
    """
    file = sqlite_file(alias)
    if file is None:
        yield
        return
    with closing(sqlite3.connect(f"{file}-migrate", timeout=0, isolation_level=None)) as lock:
        if not _begins(lock):
            report(f"Waiting for another migrate of '{alias}' to end.")
            while not _begins(lock):
                time.sleep(0.2)
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
