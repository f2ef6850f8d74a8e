"""Keep the server's sessions of replicas and of read-only owners read-only, outside `allow_writes()`.

The guard judges the text of a statement and may miss a write. The server misses none: it refuses a function, a
procedure or the driver's own cursor as well. The mode is set when a connection opens, and again where it differs before
a statement, a cursor or a transaction. No query is sent while the mode is right.

The access mode of a transaction cannot become READ WRITE after its first statement. The transaction of a `TestCase` on
a read-only owner is therefore writable, and only the guard refuses writes there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from switchyard.routing.session.context import current, writes_allowed
from switchyard.routing.topology.direct import has_shared_session
from switchyard.routing.topology.ownership import is_held_read_only, replicated_by
from switchyard.routing.topology.replication import SHARES_CONNECTION_OF

IDLE = 0  # libpq's PQTRANS_IDLE: no transaction is open, and no statement runs
# Vendor -> the statement that makes the session read-only, and the statement that makes it writable.
SESSION_STATEMENTS = {
    "postgresql": ("SET default_transaction_read_only = on", "SET default_transaction_read_only = off"),
    "mysql": ("SET SESSION TRANSACTION READ ONLY", "SET SESSION TRANSACTION READ WRITE"),
    "sqlite": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
}


def install() -> None:
    """Set the access mode of every connection that is opened from now on. A second call changes nothing."""
    connection_created.connect(_set_at_first, dispatch_uid="switchyard.routing.guards.access_mode")


def _set_at_first(*, connection: BaseDatabaseWrapper, **_signal: Any) -> None:
    set_access_mode(connection)


def set_access_mode(connection: Any) -> None:
    """Give the session, or the transaction that begins next, the access mode that its alias has in this context.

    Does nothing for an alias that is neither a replica nor a read-only owner, for a closed connection, and for a
    mirror, whose session belongs to the owner. Sends at most one statement, which is not observed as a query.
    """
    if (
        not is_held_read_only(connection.alias)
        or connection.connection is None
        or SHARES_CONNECTION_OF in connection.settings_dict
    ):
        return
    if connection.vendor == "postgresql":
        _set_postgresql(connection)
    elif connection.vendor in SESSION_STATEMENTS:
        _set_remembered(connection)


def set_open_connections(alias: str) -> None:
    """Set the access mode of this thread's connections to the alias; close a connection that fails at it."""
    for connection in connections.all(initialized_only=True):
        if connection.alias == alias:
            try:
                set_access_mode(connection)
            except Error:
                connection.close()


@contextmanager
def without_write_lock(connection: Any) -> Iterator[None]:
    """Begin a transaction of SQLite in this block as a read-only one begins, without the lock for writing.

    A read-only session cannot begin with the `transaction_mode` IMMEDIATE or EXCLUSIVE. Other vendors need no change.
    """
    if connection.vendor != "sqlite":
        yield
        return
    connection.ensure_connection()  # which reads the mode from the settings
    mode, connection.transaction_mode = connection.transaction_mode, None
    try:
        yield
    finally:
        connection.transaction_mode = mode


def begins_read_only(connection: Any) -> bool:
    """Return True if a transaction that begins now on the connection is to be read-only."""
    return is_held_read_only(connection.alias) and is_to_be_read_only(connection)


def forget_access_mode(connection: Any) -> None:
    """Send the access mode again before the next statement: a called function may have changed it."""
    connection.access_mode = None


def is_to_be_read_only(connection: Any) -> bool:
    """Return True if the server is to refuse writes in this context, on a replica or a read-only owner."""
    alias = connection.alias
    if replicated_by(alias) is not None or alias in current().write_blocked:
        return True
    # SQLite's mode may change inside a transaction.
    return not writes_allowed(alias) and (connection.vendor == "sqlite" or not _is_in_testcase(connection))


def _is_in_testcase(connection: Any) -> bool:
    blocks = connection.atomic_blocks
    return bool(connection.in_atomic_block and blocks and blocks[0]._from_testcase)  # noqa: SLF001 - no public name


def _set_postgresql(connection: Any) -> None:
    driver = connection.connection
    if driver.pgconn.transaction_status != IDLE:
        return
    read_only = is_to_be_read_only(connection)
    if not driver.autocommit:
        if driver.read_only is not read_only:
            driver.read_only = read_only  # for BEGIN, which psycopg sends before the next statement
    # A mode that is set behind a pooler would reach its other clients.
    elif not has_shared_session(connection.settings_dict) and _session_is_read_only(driver) is not read_only:
        _set_session(connection, read_only)


def _session_is_read_only(driver: Any) -> bool:
    # The server reports each change of this setting since PostgreSQL 14, so the driver knows it without a query.
    return bool(driver.pgconn.parameter_status(b"default_transaction_read_only") == b"on")


def _set_remembered(connection: Any) -> None:
    driver, read_only = connection.connection, is_to_be_read_only(connection)
    mode: tuple[Any, bool] | None = getattr(connection, "access_mode", None)  # a copy has none yet
    if mode is None or mode[0] is not driver or mode[1] is not read_only:
        _set_session(connection, read_only)
        connection.access_mode = (driver, read_only)


def _set_session(connection: Any, read_only: bool) -> None:
    with connection.wrap_database_errors:
        run_on_driver(connection, SESSION_STATEMENTS[connection.vendor][not read_only])


def run_on_driver(connection: Any, *statements: str) -> None:
    """Run statements on the driver's own connection: no wrapper, no observer and no query log sees them."""
    if not statements:
        return
    cursor = connection.connection.cursor()
    try:
        for statement in statements:
            cursor.execute(statement)
    finally:
        cursor.close()
