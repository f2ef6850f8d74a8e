"""Whether a replica has replayed its owner's migrations: until it has, its tables are not those of the models."""

from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any

from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from switchyard.routing.topology.ownership import owner_of_app
from switchyard.routing.topology.tables import has_owner

# What servers say when asked for a table that they lack: PostgreSQL's state, MySQL's and MariaDB's number.
_NO_TABLE = frozenset({"42P01", 1146})


class ReplicaMigrations:
    """Asks a replica in each round until it has its owner's migrations, and never again."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._has = False

    def __call__(self, cursor: Any) -> str:
        """Return what is wrong, as a word; empty when nothing is."""
        if not self._has and missing_migrations(self._owner, frozenset()):
            self._has = not missing_migrations(self._owner, _applied(cursor))
            return "" if self._has else "unmigrated"
        return ""


def _applied(cursor: Any) -> set[tuple[str, str]]:
    try:
        cursor.execute("SELECT app, name FROM django_migrations")
    except Exception as error:
        if _NO_TABLE.isdisjoint((getattr(error, "sqlstate", None), *error.args[:1])):
            raise
        return set()
    return {(app, name) for app, name in cursor.fetchall()}


def missing_migrations(owner: str, applied: AbstractSet[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the migrations on disk of the owner's apps that are not among the applied ones.

    A squashed migration and those it replaces stand for each other, and what is applied beyond the disk's is fine.
    """
    on_disk = {key: migration for key, migration in _on_disk().items() if owner_of_app(key[0]) == owner}
    covered = set(applied)
    for key, migration in on_disk.items():
        if key in applied:
            covered.update(migration.replaces)
        elif migration.replaces and covered.issuperset(migration.replaces):
            covered.add(key)
    return sorted(on_disk.keys() - covered)


@cache
def _on_disk() -> dict[tuple[str, str], Migration]:
    migrations = MigrationLoader(None, ignore_no_migrations=True).disk_migrations
    return {key: migration for key, migration in migrations.items() if has_owner(key[0])}
