"""`flush` and `sqlflush` of an alias that records deletions: both empty the parents' tables, and the tombstones."""

from typing import Any

from django.core.management.sql import sql_flush

from switchyard.crossdb.references.registry import references
from switchyard.crossdb.references.tombstones import Tombstone
from switchyard.crossdb.references.triggers.registry import triggers_of


def sql_flush_with_tombstones(style: Any, connection: Any, **options: Any) -> list[str]:
    """Return the statements of Django, and before and after them what the triggers and the tombstones need.

    On PostgreSQL the triggers refuse TRUNCATE. Elsewhere each emptied row leaves a tombstone, which would reach the
    next test. One query more if the alias is the owner of parents.
    """
    statements: list[str] = sql_flush(style, connection, **options)
    table = Tombstone._meta.db_table
    parents = (each for each in references(recorded_only=True) if each.parent_owner == connection.alias)
    if not statements or not any(parents) or table not in connection.introspection.table_names():
        return statements
    triggers = triggers_of(connection.vendor)
    emptied = f"DELETE FROM {connection.ops.quote_name(table)};"
    return [*triggers.flush_begins, *statements, *triggers.flush_ends, emptied]
