"""Parents in a partitioned table of PostgreSQL: a trigger for each statement does not see all of their deletions.

https://www.postgresql.org/docs/18/sql-createtrigger.html
"""

from collections.abc import Iterator

from django.core.checks import CheckMessage, Warning  # noqa: A004 - Django's name
from django.db import connections

from switchyard.crossdb.references.checks.presence import declarations
from switchyard.crossdb.references.registry import Reference

_FOR_EACH_STATEMENT = (
    "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
    " WHERE relkind = 'p' AND pg_table_is_visible(tgrelid) AND tgname = ANY(%s)"
    " AND tgtype & 9 = 8"  # for DELETE (8), and not for each row (1)
)


def partition_advice(reference: Reference) -> str:
    """Return what to do if deletions on a partition of the parents' table are not recorded, or an empty text.

    One query, on PostgreSQL only.
    """
    connection = connections[reference.parent_owner]
    if connection.vendor != "postgresql" or reference.recorded_by != "triggers":
        return ""
    declared = {each.trigger_names(connection.vendor)[0]: each for each in declarations(reference)}
    with connection.cursor() as cursor:
        cursor.execute(_FOR_EACH_STATEMENT, [list(declared)])
        found = [declared[name] for (name,) in cursor.fetchall()]
    statements = "; ".join(each.deleted_by_row(reference.parent, connection) for each in found)
    return statements and (
        f"Let a migration run: {statements}. TRUNCATE, DROP and DETACH of a partition are recorded by no trigger:"
        " delete its rows before, or run `crossdb_audit --fix` afterwards."
    )


def unseen_partitions(reference: Reference) -> Iterator[CheckMessage]:
    """Yield a warning if the parents' table is partitioned and its trigger does not see each deletion."""
    if advice := partition_advice(reference):
        yield Warning(
            f"The table of {reference.parent._meta.label} on '{reference.parent_owner}' is partitioned: a DELETE that"
            f" names a partition, and a key that moves to another partition, are not recorded for {reference.label}.",
            hint=advice,
            obj=reference.field,
            id="switchyard.W014",
        )
