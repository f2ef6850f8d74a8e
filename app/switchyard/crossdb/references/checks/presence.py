"""Whether the triggers that a reference needs are on the server of its parents."""

from django.db import connections

from switchyard.crossdb.references.checks.rights import has_right
from switchyard.crossdb.references.deletions import RecordDeletions
from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.triggers.registry import triggers_of


def declarations(reference: Reference) -> list[RecordDeletions]:
    """Return the declarations of the parent's model for the reference."""
    recordings = (each for each in reference.parent._meta.constraints if isinstance(each, RecordDeletions))
    return [each for each in recordings if each.reference == reference.label]


def trigger_presence(reference: Reference) -> dict[str, bool] | None:
    """Return whether each trigger that the reference needs is there; None if the role may not see triggers.

    One query, and on MySQL and MariaDB up to three more if a trigger is not found. No query if signals record.
    """
    if reference.recorded_by != "triggers":
        return {}
    connection, table = connections[reference.parent_owner], reference.parent._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(triggers_of(connection.vendor).listed)
        existing = {name for (name,) in cursor.fetchall()}
    found = {
        name: name in existing for each in declarations(reference) for name in each.trigger_names(connection.vendor)
    }
    hides = connection.vendor == "mysql" and not all(found.values())  # MySQL shows triggers to roles that may make them
    return None if hides and not has_right("TRIGGER", connection.alias, table) else found
