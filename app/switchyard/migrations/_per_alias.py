"""Run the migrations of an alias' own apps, with the state of all apps. Pending migrations are in `_status.py`.

Django records every migration on every alias, even if the routers prevent its tables. Here a migration of another owner
changes the state that operations see. It changes neither the database nor its `django_migrations`.

The overridden methods are undocumented. They are the same in Django 5.2, 6.0 and 6.1:
https://github.com/django/django/blob/5.2/django/db/migrations/executor.py
https://github.com/django/django/blob/stable/6.1.x/django/db/migrations/loader.py
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState

from switchyard.migrations._marks import marked, transactional
from switchyard.migrations._stopping import may_stop_inside, raise_if_stopped
from switchyard.routing.topology.ownership import is_unmanaged, owner_of_app, replicated_by


def owns(alias: str, app_label: str) -> bool:
    """Return True if the app's tables are on the alias: the alias is their owner, or a replica of the owner."""
    return owner_of_app(app_label) == (replicated_by(alias) or alias)


class OwnedLoader(MigrationLoader):
    """Count the migrations of other owners as applied, except if they depend on a pending migration of this alias."""

    def build_graph(self) -> None:
        super().build_graph()
        if self.connection is None:  # `makemigrations` reads the disk only
            return
        alias = self.connection.alias
        owned = {key for key in self.graph.nodes if owns(alias, key[0])}
        pending = owned - self.applied_migrations.keys()
        dependent = {key for start in pending for key in self.graph.backwards_plan(start)}
        for key in self.graph.nodes.keys() - owned:
            if key in dependent:
                self.applied_migrations.pop(key, None)  # Django's own `migrate` may have left a row
            else:
                self.applied_migrations.setdefault(key, self.graph.nodes[key])
        self.replacements = {key: squash for key, squash in self.replacements.items() if owns(alias, key[0])}

    def check_consistent_history(self, connection: BaseDatabaseWrapper) -> None:
        """Raise InconsistentMigrationHistory if an owned migration is applied before an owned dependency of it."""
        applied = MigrationRecorder(connection).applied_migrations()
        for key in applied.keys() & self.graph.nodes.keys():
            for parent in sorted(node.key for node in self.graph.node_map[key].parents):
                both_owned = owns(connection.alias, key[0]) and owns(connection.alias, parent[0])
                if both_owned and parent not in applied and not self._replaced(parent, applied):
                    raise InconsistentMigrationHistory(
                        f"Migration {'.'.join(key)} is applied before its dependency {'.'.join(parent)} "
                        f"on database '{connection.alias}'."
                    )

    def _replaced(self, key: tuple[str, str], applied: dict[tuple[str, str], Any]) -> bool:
        """Return True if `key` is a squash whose parts are all applied; a part may be a squash as well."""
        squash = self.replacements.get(key)
        return squash is not None and all(
            replaced in applied or self._replaced(replaced, applied) for replaced in squash.replaces
        )


class ShownLoader(OwnedLoader):
    """Have the migrations of the alias' own apps only, for `showmigrations`."""

    def build_graph(self) -> None:
        super().build_graph()
        if self.connection is None:
            return
        alias = self.connection.alias
        everything, self.graph = self.graph, MigrationGraph()
        shown = {
            key for key in everything.nodes if owns(alias, key[0]) and not is_unmanaged(replicated_by(alias) or alias)
        }
        for key in everything.nodes.keys() & shown:
            self.graph.add_node(key, everything.nodes[key])
        for key in shown:
            for parent in everything.node_map[key].parents:
                if parent.key in shown:
                    self.graph.add_dependency(None, key, parent.key)
        self.migrated_apps = {label for label, _ in shown}


class OwnedExecutor(MigrationExecutor):
    """Apply, unapply and record only the migrations that the connection's alias owns.

    A migration and its record are one transaction, or have a mark where the database does not roll back. After SIGTERM
    no migration begins: StoppedError.
    """

    def __init__(self, connection: BaseDatabaseWrapper, progress_callback: Callable[..., None] | None = None) -> None:
        super().__init__(connection, progress_callback)
        self.loader = OwnedLoader(connection)

    def apply_migration(
        self, state: ProjectState, migration: Migration, fake: bool = False, fake_initial: bool = False
    ) -> ProjectState:
        if not owns(self.connection.alias, migration.app_label):
            return migration.mutate_state(state, preserve=False)
        raise_if_stopped()
        with _whole(self.connection, migration, fake=fake, backwards=False):
            return super().apply_migration(state, migration, fake=fake, fake_initial=fake_initial)

    def unapply_migration(self, state: ProjectState, migration: Migration, fake: bool = False) -> ProjectState:
        if not owns(self.connection.alias, migration.app_label):
            return state
        raise_if_stopped()
        with _whole(self.connection, migration, fake=fake, backwards=True):
            return super().unapply_migration(state, migration, fake=fake)


@contextmanager
def _whole(connection: BaseDatabaseWrapper, migration: Migration, *, fake: bool, backwards: bool) -> Iterator[None]:
    """Apply a migration and record it, both or neither; where that is impossible, leave a mark if the process dies.

    Django records a migration with foreign keys or indexes after the commit of its tables. A process that is killed
    between the two leaves tables without their record, and the next `migrate` fails.
    """
    if transactional(connection, migration):
        with _one_transaction(connection):
            yield
    elif fake:
        yield
    elif is_restartable(migration):
        with may_stop_inside():
            yield
    else:
        with marked(connection, migration, backwards=backwards):
            yield


def is_restartable(migration: Migration) -> bool:
    """Return True if the migration says by `restartable = True` that it may run again after it was killed."""
    return bool(getattr(migration, "restartable", False))


@contextmanager
def _one_transaction(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Open a transaction around Django's. SQLite's schema editor needs foreign keys unchecked before it begins."""
    connection.disable_constraint_checking()
    try:
        with transaction.atomic(using=connection.alias):
            yield
    finally:
        connection.enable_constraint_checking()
