"""What a migration waits for: a server that starts, a `migrate` that runs already, a statement that takes long."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

_LONGEST_PAUSE = 5.0  # seconds
# mysqlclient's numbers for: nothing behind the socket, host or name; gone away; full; shutting down.
_MYSQL_NOT_THERE = {2002, 2003, 2005, 2006, 2013, 1040, 1053}
# Both belong to the session, so they end with the connection of a killed `migrate`, and outlive each transaction.
_TAKE = {
    "postgresql": ("SELECT pg_try_advisory_lock(%s)", "SELECT pg_advisory_unlock(%s)"),
    "mysql": (
        "SELECT GET_LOCK(CONCAT(%s, LEFT(SHA2(DATABASE(), 256), 32)), 0)",
        "SELECT RELEASE_LOCK(CONCAT(%s, LEFT(SHA2(DATABASE(), 256), 32)))",
    ),
}
_KEY: dict[str, int | str] = {
    "postgresql": int.from_bytes(blake2b(b"switchyard.migrate", digest_size=8).digest(), signed=True),
    "mysql": "switchyard.migrate.",  # MySQL's locks are the server's, not the database's
}


def wait_for_server(connection: BaseDatabaseWrapper, *, seconds: float, say: Callable[[str], None]) -> None:
    """Connect, trying again for up to `seconds` while the server is not there.

    Raises OperationalError then, and at once for an error that waiting does not mend, such as a wrong password.
    """
    deadline = time.monotonic() + seconds
    pause = 0.25
    while True:
        try:
            return connection.ensure_connection()
        except OperationalError as error:
            if not _not_there(connection.vendor, error) or time.monotonic() + pause > deadline:
                raise
        say(f"Waiting for the server of '{connection.alias}'.")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _not_there(vendor: str, error: OperationalError) -> bool:
    """Say whether the server may just not have started. One that asked for a password has."""
    if vendor == "mysql":
        return bool(error.args) and error.args[0] in _MYSQL_NOT_THERE
    attempt = getattr(error.__cause__, "pgconn", None)  # what psycopg keeps of a failed attempt; a pool keeps nothing
    return vendor == "postgresql" and not (attempt and (attempt.used_password or attempt.needs_password))


@contextmanager
def without_time_limits(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let statements of this connection run as long as they need; waiting for a lock stays limited.

    Both drivers are told at connect, so an open connection is closed before and after.
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
def alone(connection: BaseDatabaseWrapper, *, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of the alias, waiting for a `migrate` that holds it. SQLite has none: its writers take turns."""
    if connection.vendor not in _TAKE:
        yield
        return
    take, release = _TAKE[connection.vendor]
    key = _KEY[connection.vendor]
    if not _yes(connection, take, key):
        say(f"Waiting for another migrate of '{connection.alias}' to end.")
        while not _yes(connection, take, key):
            time.sleep(1)
    try:
        yield
    finally:
        if connection.is_usable():
            _yes(connection, release, key)


def _yes(connection: BaseDatabaseWrapper, sql: str, key: int | str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql, [key])
        return bool(cursor.fetchone()[0])
