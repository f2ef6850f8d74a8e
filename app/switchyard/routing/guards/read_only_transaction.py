"""Hold one statement read-only on an alias whose session takes writes.

A read that moves from a replica to its owner takes the replica's refusal of writes along. Behind a pooler that shares
sessions, each statement on a read-only owner runs so.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from switchyard.routing.connection_state import has_open_transaction
from switchyard.routing.guards.access_mode import (
    IDLE,
    SESSION_STATEMENTS,
    is_to_be_read_only,
    run_on_driver,
)
from switchyard.routing.topology.direct import has_shared_session
from switchyard.routing.topology.ownership import replicated_by


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
        on, off = SESSION_STATEMENTS["sqlite"]
        is_on = bool(connection.connection.execute("PRAGMA query_only").fetchone()[0])
        return _Block((), (), ()) if is_on else _Block((on,), (off,), (off,))
    if replicated_by(connection.alias) is not None:
        return _Block((), (), ())
    return _PART if _is_in_transaction(connection) else _TRANSACTION[connection.vendor]


def _is_in_transaction(connection: Any) -> bool:
    if connection.vendor == "postgresql" and connection.connection.pgconn.transaction_status != IDLE:
        return True
    return has_open_transaction(connection)


def needs_transaction(connection: Any) -> bool:
    """Return True if a statement on a read-only owner needs a read-only transaction of its own.

    It does behind a pooler of PostgreSQL that shares sessions, outside transactions. A standby refuses writes itself.
    """
    return (
        connection.vendor == "postgresql"
        and has_shared_session(connection.settings_dict)
        and replicated_by(connection.alias) is None
        and not _is_in_transaction(connection)
        and is_to_be_read_only(connection)
    )
