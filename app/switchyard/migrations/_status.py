"""The migrations that an alias has not recorded, read from the alias itself. Changes nothing."""

from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from switchyard.migrations._per_alias import OwnedLoader, owns
from switchyard.routing.topology.ownership import database_aliases, is_unmanaged, replicated_by


def pending(alias: str) -> list[str]:
    """Return the migrations that the alias owns and has not recorded, in the order in which `migrate` applies them.

    Of a replica, return the migrations of its owner that the replica has not replayed. Rows of migrations that the code
    does not know are ignored, so a database may be ahead of the code. A squash whose parts are all applied is pending
    until `migrate` has recorded it. An unmanaged owner has none.

    Queries: two reads of the list of tables and two of `django_migrations`, all on the alias. Raises DatabaseError if
    the alias cannot be read.

        >>> pending("default")  # a migrated alias; otherwise such as ["accounts.0002_user_email"]
        []
    """
    if is_unmanaged(replicated_by(alias) or alias):
        return []
    loader = OwnedLoader(connections[alias])
    recorded = MigrationRecorder(connections[alias]).applied_migrations()
    unrecorded = [key for key in loader.replacements if key in loader.applied_migrations and key not in recorded]
    plan = [key for leaf in sorted(loader.graph.leaf_nodes()) for key in loader.graph.forwards_plan(leaf)]
    unapplied = [key for key in plan if owns(alias, key[0]) and key not in loader.applied_migrations]
    return [f"{app}.{name}" for app, name in dict.fromkeys([*unapplied, *unrecorded])]


def migrating() -> list[str]:
    """Return the aliases that own an app with migrations, in the order of DATABASES, without unmanaged ones. No query.

    >>> "default" in migrating(), "replica" in migrating()
    (True, False)
    """
    apps = {label for label, _ in OwnedLoader(None).disk_migrations}
    aliases = [alias for alias in database_aliases() if not replicated_by(alias) and not is_unmanaged(alias)]
    return [alias for alias in aliases if any(owns(alias, label) for label in apps)]
