"""Statements that may have written, in a transaction on PostgreSQL: the server tells at the end whether it wrote.

The text `SELECT f()` does not say whether `f` writes. A transaction that wrote has a transaction id, so one query
before its COMMIT answers for all of its statements. Outside a transaction, and on other servers, such a statement
counts as a write at once.
"""

import time
from typing import Any, NamedTuple

from switchyard.routing.connection_state import outermost_program_block, program_transaction_on
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition
from switchyard.routing.session.context import current
from switchyard.routing.session.tracking import needs_position
from switchyard.sql import Statement

_WROTE = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"
_IN_ERROR = 3  # the status of a failed transaction, the same number in psycopg 2 and 3


class Doubt(NamedTuple):
    """A transaction in which a statement may have written, and the client that must see the write."""

    alias: str
    consistency: ConsistencyState


def defer(alias: str, statement: Statement) -> bool:
    """Return True if the end of the open transaction tells whether the statement wrote. No query."""
    connection = program_transaction_on(alias)
    # A transaction inside a TestCase ends without a COMMIT.
    if (
        connection is None
        or connection.vendor != "postgresql"
        or (connection.in_atomic_block and outermost_program_block(connection) != 0)
    ):
        return False
    if needs_position(alias, statement):
        connection.doubt = Doubt(alias, current().consistency)
    return True


def settle(connection: Any) -> None:
    """Ask whether the transaction wrote, if that is in doubt, and require its position. At most one query.

    Call this before the transaction ends. An error of the query is raised: the transaction must not commit after it.
    """
    doubt: Doubt | None = getattr(connection, "doubt", None)
    if doubt is None:
        return
    connection.doubt = None
    required = doubt.consistency.required.get(doubt.alias)
    is_required = type(required) is PendingPosition and connection in required.open_connections
    driver_connection = connection.connection
    if is_required or driver_connection is None or driver_connection.info.transaction_status == _IN_ERROR:
        return
    with connection.wrap_database_errors, driver_connection.cursor() as cursor:
        cursor.execute(_WROTE)
        (wrote,) = cursor.fetchone()
    if wrote:
        doubt.consistency.require(doubt.alias, PendingPosition(time.monotonic(), connection))


def settle_alias(alias: str) -> None:
    """Settle the doubt about this thread's transaction on the alias, before a statement that ends it."""
    connection = program_transaction_on(alias)
    if connection is not None:
        settle(connection)
