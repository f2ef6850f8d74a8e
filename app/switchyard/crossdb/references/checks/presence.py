"""Whether the triggers that a reference needs are on the server of its parents."""

from django.db import connections

from switchyard.crossdb.references.checks.rights import has_right
from switchyard.crossdb.references.deletions import RecordDeletions
from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.triggers.registry import triggers_of


def trigger_presence(reference: Reference) -> dict[str, bool] | None:
    """Return whether each trigger that the reference needs is there; None if the role may not see triggers.

    One query, and on MySQL and MariaDB up to three more if a trigger is not found. No query if signals record.
    """
    if reference.field.recorded_by != "triggers":
        return {}
    connection, parent = connections[reference.parent_owner], reference.parent._meta
    recordings = (each for each in parent.constraints if isinstance(each, RecordDeletions))
    declared = [each for each in recordings if each.reference == reference.label]
    with connection.cursor() as cursor:
        cursor.execute(triggers_of(connection.vendor).listed)
        existing = {name for (name,) in cursor.fetchall()}
    found = {name: name in existing for each in declared for name in each.trigger_names(connection.vendor)}
    hides = connection.vendor == "mysql" and not all(found.values())  # MySQL shows triggers to roles that may make them
    return None if hides and not has_right("TRIGGER", connection.alias, parent.db_table) else found
