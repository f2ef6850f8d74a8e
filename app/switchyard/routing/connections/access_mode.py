"""Keep the server's sessions of replicas and of read-only owners read-only, outside `allow_writes()`.

The guard judges the text of a statement and may miss a write. The server misses none: it refuses a function, a
procedure or the driver's own cursor as well. The mode is set when a connection opens, and again where it differs before
a statement, a cursor or a transaction. No query is sent while the mode is right.

The access mode of a transaction cannot become READ WRITE after its first statement. The transaction of a `TestCase` on
a read-only owner is therefore writable, and only the guard refuses writes there.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from switchyard.routing.connection_state import has_open_transaction
from switchyard.routing.session.context import current, writes_allowed
from switchyard.routing.topology.ownership import is_held_read_only, replicated_by
from switchyard.routing.topology.replication import SHARES_CONNECTION_OF

_IDLE = 0  # libpq's PQTRANS_IDLE: no transaction is open, and no statement runs
# Vendor -> the statement that makes the session read-only, and the statement that makes it writable.
_SESSION = {
    "postgresql": ("SET default_transaction_read_only = on", "SET default_transaction_read_only = off"),
    "mysql": ("SET SESSION TRANSACTION READ ONLY", "SET SESSION TRANSACTION READ WRITE"),
    "sqlite": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
}


def install() -> None:
    """Set the access mode of every connection that is opened from now on. A second call changes nothing."""
    connection_created.connect(_set_at_first, dispatch_uid="switchyard.routing.connections.access_mode")


def _set_at_first(*, connection: BaseDatabaseWrapper, **_signal: Any) -> None:
    set_access_mode(connection)


def set_access_mode(connection: Any) -> None:
    """Give the session, or the transaction that begins next, the access mode that its alias has in this context.

    Does nothing for an alias that is neither a replica nor a read-only owner, for a closed connection, and for a mirror,
    whose session belongs to the owner. Sends at most one statement, which is not observed as a query.
    """
    if (
        not is_held_read_only(connection.alias)
        or connection.connection is None
        or SHARES_CONNECTION_OF in connection.settings_dict
    ):
        return
    if connection.vendor == "postgresql":
        _set_postgresql(connection)
    elif connection.vendor in _SESSION:
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
def starts_read_only(connection: Any) -> Iterator[None]:
    """Begin a transaction of SQLite in this block without a lock for writing, if it is to be read-only.

    A read-only session cannot begin with `transaction_mode` IMMEDIATE or EXCLUSIVE.
    """
    if not is_held_read_only(connection.alias) or not _is_to_be_read_only(connection):
        yield
        return
    connection.ensure_connection()  # which reads the mode from the settings
    mode, connection.transaction_mode = connection.transaction_mode, None
    try:
        yield
    finally:
        connection.transaction_mode = mode


def forget_access_mode(connection: Any) -> None:
    """Send the access mode again before the next statement: a called function may have changed it."""
    connection.access_mode = None


def _is_to_be_read_only(connection: Any) -> bool:
    alias = connection.alias
    if replicated_by(alias) is not None or alias in current().write_blocked:
        return True
    # SQLite's mode may change inside a transaction.
    return not writes_allowed(alias) and (connection.vendor == "sqlite" or not _is_in_testcase(connection))


def _is_in_testcase(connection: Any) -> bool:
    blocks = connection.atomic_blocks
    return bool(connection.in_atomic_block and blocks and blocks[0]._from_testcase)  # noqa: SLF001 - no public name says it


def _set_postgresql(connection: Any) -> None:
    driver = connection.connection
    if driver.pgconn.transaction_status != _IDLE:
        return
    read_only = _is_to_be_read_only(connection)
    if not driver.autocommit:
        if driver.read_only is not read_only:
            driver.read_only = read_only  # for BEGIN, which psycopg sends before the next statement
    elif not _has_shared_session(connection) and _session_is_read_only(driver) is not read_only:
        _set_session(connection, read_only)


def _session_is_read_only(driver: Any) -> bool:
    # The server reports each change of this setting since PostgreSQL 14, so the driver knows it without a query.
    return bool(driver.pgconn.parameter_status(b"default_transaction_read_only") == b"on")


def _has_shared_session(connection: Any) -> bool:
    # Django's setting for a pooler that gives each transaction another session. A mode that is set there would reach
    # other clients of the pooler.
    return bool(connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"))


def needs_transaction(connection: Any) -> bool:
    """Return True if a statement on a read-only owner needs a read-only transaction of its own.

    It does behind a pooler of PostgreSQL that shares sessions, outside transactions. A standby refuses writes itself.
    """
    return (
        connection.vendor == "postgresql"
        and _has_shared_session(connection)
        and replicated_by(connection.alias) is None
        and not _is_in_transaction(connection)
        and _is_to_be_read_only(connection)
    )


def _set_remembered(connection: Any) -> None:
    driver, read_only = connection.connection, _is_to_be_read_only(connection)
    mode: tuple[Any, bool] | None = getattr(connection, "access_mode", None)  # a copy has none yet
    if mode is None or mode[0] is not driver or mode[1] is not read_only:
        _set_session(connection, read_only)
        connection.access_mode = (driver, read_only)


def _set_session(connection: Any, read_only: bool) -> None:
    with connection.wrap_database_errors:
        run_on_driver(connection, _SESSION[connection.vendor][not read_only])


class _Block(NamedTuple):
    """The statements around a read-only transaction, or around a part of a transaction that is read-only."""

    begin: tuple[str, ...]
    commit: tuple[str, ...]
    rollback: tuple[str, ...]


_SAVEPOINT = "SAVEPOINT switchyard_read_only"
_PART = _Block(
    (_SAVEPOINT, "SET TRANSACTION READ ONLY"),
    (f"RELEASE {_SAVEPOINT}",),  # the transaction is writable again
    (f"ROLLBACK TO {_SAVEPOINT}", f"RELEASE {_SAVEPOINT}"),
)
_TRANSACTION = {
    "postgresql": _Block(("BEGIN READ ONLY",), ("COMMIT",), ("ROLLBACK",)),
    "mysql": _Block(("START TRANSACTION READ ONLY",), ("COMMIT",), ("ROLLBACK",)),
}


def can_read_only(connection: Any, *, server_side: bool) -> bool:
    """Return True if `read_only_transaction()` can hold a read on this open connection.

    MySQL has no way inside an open transaction. There, a server-side cursor of PostgreSQL reads after the block.
    """
    if connection.vendor == "sqlite" or replicated_by(connection.alias) is not None:
        return True
    return connection.vendor in _TRANSACTION and (
        not _is_in_transaction(connection) or (connection.vendor == "postgresql" and not server_side)
    )


@contextmanager
def read_only_transaction(connection: Any) -> Iterator[None]:
    """Run one read in a read-only transaction of its own; in an open transaction, in a read-only part of it.

    `can_read_only()` must be true. Sends two statements, up to three in an open transaction, and none to a replica,
    whose session is read-only. They are not observed as queries.
    """
    block = _block(connection)
    run_on_driver(connection, *block.begin)
    try:
        yield
    except BaseException:
        with suppress(connection.Database.Error):  # the error of the read says more
            run_on_driver(connection, *block.rollback)
        raise
    run_on_driver(connection, *block.commit)


def _block(connection: Any) -> _Block:
    if connection.vendor == "sqlite":
        on, off = _SESSION["sqlite"]
        is_on = bool(connection.connection.execute("PRAGMA query_only").fetchone()[0])
        return _Block((), (), ()) if is_on else _Block((on,), (off,), (off,))
    if replicated_by(connection.alias) is not None:
        return _Block((), (), ())
    return _PART if _is_in_transaction(connection) else _TRANSACTION[connection.vendor]


def _is_in_transaction(connection: Any) -> bool:
    if connection.vendor == "postgresql" and connection.connection.pgconn.transaction_status != _IDLE:
        return True
    return has_open_transaction(connection)


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
