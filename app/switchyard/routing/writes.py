"""Writes, taken down where they happen: by the layer of driver cursors, which sees raw SQL, COPY and procedures too."""

import time

from switchyard.routing.decisions import in_transaction, wrapper_of
from switchyard.routing.known_tables import cache_tables, models_by_table
from switchyard.routing.owners import is_primary_only, replicas_of
from switchyard.routing.servers import set_of
from switchyard.routing.state import Unplaced, current, is_process
from switchyard.routing.statements import Statement


def wrote(alias: str, statement: Statement) -> None:
    """Take down that the statement may have written on the alias: the reads that follow owe it. No query.

    Call it after the statement, failed ones too: a commit whose answer was lost is a commit.
    """
    state = current()
    if not replicas_of(alias) or not state.sticky or _is_read_there_alone(statement) or set_of(alias).in_step:
        return
    connection = wrapper_of(alias) if in_transaction(alias) else None
    state.ledger.owe(alias, Unplaced(time.monotonic(), connection))


def read(alias: str) -> None:
    """Take down that a read of the alias is over: what it showed in a replica's place may be as new as this.

    The decision, which took down that it would be read, came before: others may have written in between.
    """
    state = current()
    owed = state.ledger.owed.get(alias)
    if type(owed) is Unplaced and not is_process(state):
        owed.at = max(owed.at, time.monotonic())


def _is_read_there_alone(statement: Statement) -> bool:
    """Tell whether all its tables are of apps whose rows are never read from a replica (sessions, the cache)."""
    return bool(statement.tables) and all(map(_has_primary_only_rows, statement.tables))


def _has_primary_only_rows(table: str) -> bool:
    models = models_by_table().get(table, {}).values()
    if not models:
        return table in cache_tables() and is_primary_only("django_cache")
    return all(is_primary_only(model._meta.app_label) for model in models)
