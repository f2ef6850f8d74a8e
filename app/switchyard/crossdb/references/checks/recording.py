"""The migrations that let an owner record the deletions of a reference."""

from django.db import connections
from django.db.migrations import AddConstraint, CreateModel, Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from switchyard.crossdb.references.deletions import RecordDeletions
from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.tombstones import Tombstone


def is_pending(reference: Reference) -> bool:
    """Return True if a migration that may make the table of tombstones or the triggers is not applied yet.

    It belongs to the parent's app, or to another one: `RecordDeletionsOf` stands in an app of the project.
    """
    executor = MigrationExecutor(connections[reference.parent_owner])
    apps = {reference.parent._meta.app_label, Tombstone._meta.app_label}
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return any(migration.app_label in apps or _records(migration, reference) for migration, _backwards in plan)


def migration_of(reference: Reference) -> str:
    """Return the newest migration with the triggers, as `sqlmigrate` takes its names; the parent's app without one."""
    known = MigrationLoader(None).disk_migrations
    found = [known[key] for key in sorted(known) if _records(known[key], reference)]
    return f"{found[-1].app_label} {found[-1].name}" if found else f"{reference.parent._meta.app_label} ..."


def _records(migration: Migration, reference: Reference) -> bool:
    return any(
        isinstance(constraint, RecordDeletions) and constraint.reference == reference.label
        for operation in migration.operations
        for constraint in _constraints(operation)
    )


def _constraints(operation: object) -> list[object]:
    if isinstance(operation, AddConstraint):
        return [operation.constraint]
    return [*operation.options.get("constraints", ())] if isinstance(operation, CreateModel) else []
