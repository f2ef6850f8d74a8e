"""What `migrate` still has to do on an alias, read from the alias itself. Changes nothing."""

from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from switchyard.migrations._owned import OwnedLoader, owns
from switchyard.routing.topology.ownership import replicated_by


def pending(alias: str) -> list[str]:
    """Return the migrations that the alias owns and has not recorded, such as "analytics.0001_initial", in their order.

    A replica is asked for those of its owner. Rows that the code does not know are ignored: a database ahead of the
    code is fine. A squash whose parts are all applied is pending until `migrate` has recorded it.
    """
    loader = OwnedLoader(connections[alias])
    rows = MigrationRecorder(connections[alias]).applied_migrations()
    unrecorded = [key for key in loader.replacements if key in loader.applied_migrations and key not in rows]
    keys = [key for leaf in sorted(loader.graph.leaf_nodes()) for key in loader.graph.forwards_plan(leaf)]
    wanted = [key for key in keys if owns(alias, key[0]) and key not in loader.applied_migrations]
    return [f"{app}.{name}" for app, name in dict.fromkeys([*wanted, *unrecorded])]


def migrating() -> list[str]:
    """Return the aliases that own an app with migrations: those that `migrate` has work on, in DATABASES' order."""
    apps = {label for label, _ in OwnedLoader(None).disk_migrations}
    return [alias for alias in connections if not replicated_by(alias) and any(owns(alias, label) for label in apps)]
