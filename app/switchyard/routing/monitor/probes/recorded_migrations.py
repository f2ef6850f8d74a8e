"""Which migrations of an owner a server has recorded. While some are missing, its tables do not match the models."""

import logging
import time
from collections.abc import Set as AbstractSet
from functools import cache
from math import inf
from typing import Any

from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from switchyard.routing.topology.ownership import is_unmanaged, migration_owner
from switchyard.routing.topology.tables import has_owner

logger = logging.getLogger(__name__)

_COUNT_INTERVAL_SECONDS = 5.0
# The error of a missing table: the SQLSTATE of PostgreSQL, the number of MySQL and MariaDB.
_MISSING_TABLE = frozenset({"42P01", 1146})


class ReplicaMigrations:
    """The extra check of a replica's probe: one query in each probe until the replica has its owner's migrations."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._complete = False

    def __call__(self, cursor: Any) -> str:
        """Return `unmigrated` if migrations are missing on the replica, else an empty text."""
        if not self._complete and missing_migrations(self._owner, frozenset()):
            self._complete = not missing_migrations(self._owner, _applied(cursor))
            return "" if self._complete else "unmigrated"
        return ""


class PendingMigrations:
    """The extra check of an owner's probe: it counts the migrations that the owner has not recorded.

    One query in each probe while there are such migrations, and otherwise in each interval: a newer release may add
    migrations, or go back. The check finds no fault of the server.
    """

    def __init__(self, owner: str) -> None:
        self.count: int | None = None  # None before the first answer, and if the table cannot be read
        self._owner = owner
        self._next_count_at = inf if is_unmanaged(owner) else 0.0

    def __call__(self, cursor: Any) -> str:
        """Count if the count is due. The empty result says that the probed server has no fault."""
        now = time.monotonic()
        if self.count or now >= self._next_count_at:
            self._next_count_at = now + _COUNT_INTERVAL_SECONDS
            try:
                self.count = len(missing_migrations(self._owner, _applied(cursor)))
            except Exception as error:  # noqa: BLE001 - drivers raise any class; a server without this right is in order
                logger.info("The migrations of '%s' could not be counted: %s.", self._owner, type(error).__name__)
                self.count = None
        return ""


def _applied(cursor: Any) -> set[tuple[str, str]]:
    try:
        cursor.execute("SELECT app, name FROM django_migrations")
    except Exception as error:
        if _MISSING_TABLE.isdisjoint((getattr(error, "sqlstate", None), *error.args[:1])):
            raise
        return set()
    return {(app, name) for app, name in cursor.fetchall()}


def missing_migrations(owner: str, applied: AbstractSet[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the migrations on disk of the owner's apps that are not applied, as (app label, name).

    A squashed migration counts as applied if all migrations that it replaces are, and the other way round. Applied
    migrations that are not on disk are ignored.
    """
    on_disk = {key: migration for key, migration in _on_disk().items() if migration_owner(key[0]) == owner}
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
