"""Record the writes and reads that the driver cursors report: raw SQL, COPY and procedures included."""

import time

from switchyard.routing.connection_state import program_transaction_on
from switchyard.routing.session.consistency import PendingPosition
from switchyard.routing.session.context import current, is_process_context
from switchyard.routing.topology.ownership import is_primary_only, replicas_of
from switchyard.routing.topology.replication import replication_set
from switchyard.routing.topology.tables import cache_tables, models_by_table
from switchyard.sql.classifier import Statement


def record_write(alias: str, statement: Statement) -> None:
    """Require of the replicas of the alias that they replay the statement, which may have written. No query.

    Call it after the statement, also after a failed statement: a commit whose answer was lost is a commit.
    """
    state = current()
    if (
        not replicas_of(alias)
        or not state.sticky
        or _is_read_there_alone(statement)
        or replication_set(alias).snapshot.lag_free
    ):
        return
    state.consistency.require(alias, PendingPosition(time.monotonic(), program_transaction_on(alias)))


def record_read(alias: str) -> bool:
    """Record that a read of the alias is over; return True if this process waits for a sample of the owner's position.

    Other clients may have committed since the routing decision, so the pending time of a request moves forward. The
    reads of a process outside requests and tasks do not move it: a process that reads all the time would stay pinned.
    """
    state = current()
    pending = state.consistency.required.get(alias)
    if type(pending) is not PendingPosition:
        return False
    if is_process_context(state):
        return True
    pending.written_at = max(pending.written_at, time.monotonic())
    return False


def _is_read_there_alone(statement: Statement) -> bool:
    """Tell whether all its tables are of apps whose rows are never read from a replica (sessions, the cache)."""
    return bool(statement.tables) and all(map(_has_primary_only_rows, statement.tables))


def _has_primary_only_rows(table: str) -> bool:
    models = models_by_table().get(table, {}).values()
    if not models:
        return table in cache_tables() and is_primary_only("django_cache")
    return all(is_primary_only(model._meta.app_label) for model in models)
