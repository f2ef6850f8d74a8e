"""Record the writes and reads that the drivers' cursors report, with raw SQL, COPY and procedures.

A write makes the owner's position after it a required position. Cursors are not in this module.
"""

import time

from switchyard.routing.connection_state import program_transaction_on
from switchyard.routing.session.consistency import PendingPosition
from switchyard.routing.session.context import current, is_process_context
from switchyard.routing.topology.ownership import is_primary_only, replicas_of
from switchyard.routing.topology.replication import replication_set
from switchyard.routing.topology.tables import CACHE_APP, cache_tables, is_unrelated, models_by_table
from switchyard.sql import Statement


def record_write(alias: str, statement: Statement, *, failed: bool = False) -> None:
    """Require that a replica of the alias has replayed the statement before this client reads it. No query.

    Call this after each statement that may have written, also after one that has `failed`: a COMMIT whose answer was
    lost may have committed.
    """
    if needs_position(alias, statement):
        position = PendingPosition(time.monotonic(), program_transaction_on(alias), is_uncertain=failed)
        current().consistency.require(alias, position)


def needs_position(alias: str, statement: Statement) -> bool:
    """Return True if this client must see the rows that the statement writes, on a replica of the alias."""
    return bool(
        replicas_of(alias)
        and current().sticky
        and not _is_never_on_replica(statement)
        and not replication_set(alias).snapshot.lag_free
    )


def record_read(alias: str) -> bool:
    """Record that a read of the alias has shown rows; return True if this process waits for a sample of the owner.

    Other clients may have committed since the routing decision, so the time of a request's pending position moves
    forward. Outside requests and tasks it does not move: a process that always reads would stay pinned.
    """
    context = current()
    if context.consistency.fallback_reads:
        context.consistency.end_fallback_read(alias, shown=True)
    pending = context.consistency.required.get(alias)
    if type(pending) is not PendingPosition:
        return False
    if is_process_context(context):
        return True
    pending.written_at = max(pending.written_at, time.monotonic())
    return False


def is_fallback_read(alias: str) -> bool:
    """Return True if the router has sent a read of this client to the owner in a replica's place. A look-up."""
    return bool(current().consistency.fallback_reads.get(alias))


def _is_never_on_replica(statement: Statement) -> bool:
    """Return True if no read on a replica can show the rows of the statement."""
    return bool(statement.tables) and all(map(_is_table_never_on_replica, statement.tables))


def _is_table_never_on_replica(table: str) -> bool:
    models = models_by_table().get(table, {}).values()
    if not models:
        return table in cache_tables() and is_primary_only(CACHE_APP)
    # A read of another app's model may join a related table, and that read may go to a replica.
    return all(is_primary_only(model._meta.app_label) and is_unrelated(model) for model in models)
