"""The migrations that an alias would apply or undo, and their SQL. Changes nothing."""

from typing import NamedTuple

from django.db import connections
from django.db.migrations.migration import Migration

from switchyard.migrations._per_alias import OwnedExecutor, owns

type Target = tuple[str, str | None]  # app label and migration; None undoes all migrations of the app


class Step(NamedTuple):
    """One migration of a plan."""

    migration: Migration
    backwards: bool

    @property
    def name(self) -> str:
        """Return `<app>.<migration>`."""
        return f"{self.migration.app_label}.{self.migration.name}"

    @property
    def irreversible(self) -> list[str]:
        """Return the descriptions of the operations that cannot be undone, if the step undoes."""
        return [each.describe() for each in self.migration.operations if self.backwards and not each.reversible]


def plan(alias: str, targets: list[Target] | None = None) -> list[Step]:
    """Return the owned migrations between the state of the alias and the targets; without targets, all pending ones.

    Queries: as `pending()`. Raises DatabaseError if the alias cannot be read.
    """
    executor = OwnedExecutor(connections[alias])
    steps = executor.migration_plan(targets or executor.loader.graph.leaf_nodes())
    return [Step(migration, backwards) for migration, backwards in steps if owns(alias, migration.app_label)]


def sql(alias: str, step: Step) -> list[str]:
    """Return the SQL of one step, as `sqlmigrate` prints it: what Python does in the migration is a comment."""
    statements: list[str] = OwnedExecutor(connections[alias]).loader.collect_sql([(step.migration, step.backwards)])
    return statements
