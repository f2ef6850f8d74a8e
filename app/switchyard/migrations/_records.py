"""The records of an alias, compared with the code and with the tables that are there. Changes nothing."""

from dataclasses import dataclass, field

from django.apps import apps
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState

from switchyard.migrations._marks import is_mark, marks
from switchyard.migrations._per_alias import OwnedLoader, owns
from switchyard.migrations._status import pending
from switchyard.routing import only
from switchyard.routing.errors import first_line
from switchyard.routing.topology.ownership import is_unmanaged, replicated_by

type Key = tuple[str, str]


@dataclass(frozen=True)
class Records:
    """What an alias has recorded. Migrations are `<app>.<migration>`, tables are `<table> (<model>)`."""

    alias: str
    replica_of: str | None = None
    managed: bool = True
    applied: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    ahead: list[str] = field(default_factory=list)
    half_done: list[str] = field(default_factory=list)
    recorded_without_table: list[str] = field(default_factory=list)
    table_without_record: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def state(self) -> str:
        """Return the state in a word; the worst one that holds."""
        if not self.managed:
            return "unmanaged"
        if self.error:
            return "unreadable"
        if self.half_done:
            return "half done"
        if self.recorded_without_table or self.table_without_record:
            return "differs"
        return "pending" if self.pending else "migrated"


def records(alias: str) -> Records:
    """Read the records of the alias from its own server. An alias that cannot be read has an `error` of one line."""
    owner = replicated_by(alias)
    if is_unmanaged(owner or alias):
        return Records(alias, owner, managed=False)
    try:
        with only(alias):
            return _read(alias, owner)
    except DatabaseError as error:
        return Records(alias, owner, error=first_line(error))


def _read(alias: str, owner: str | None) -> Records:
    connection = connections[alias]
    loader = OwnedLoader(connection)
    rows = MigrationRecorder(connection).applied_migrations()
    applied = sorted(key for key in rows.keys() & loader.disk_migrations.keys() if owns(alias, key[0]))
    existing = {in_one_case(connection, name) for name in connection.introspection.table_names(include_views=True)}
    known = [key for key in loader.applied_migrations if key in loader.graph.nodes and owns(alias, key[0])]
    made = _tables(loader.project_state(known), connection)
    wanted = _tables(loader.project_state(), connection)
    return Records(
        alias,
        owner,
        applied=[".".join(key) for key in applied],
        pending=pending(alias),
        ahead=sorted(".".join(key) for key in rows if _is_ahead(alias, key, loader)),
        half_done=[mark.migration for mark in marks(connection)],
        recorded_without_table=[made[table] for table in sorted(made.keys() - existing)],
        table_without_record=[wanted[table] for table in sorted((wanted.keys() - made.keys()) & existing)],
    )


def _is_ahead(alias: str, key: Key, loader: OwnedLoader) -> bool:
    """Return True if the code does not know the migration, and it may be one of this alias.

    An installed app of another owner has rows here if Django's own `migrate` ran on this database. A migration that a
    squash has replaced keeps its row.
    """
    label = key[0]
    foreign = label in apps.app_configs and not owns(alias, label)
    squashed = any(key in migration.replaces for migration in loader.disk_migrations.values())
    return not (key in loader.disk_migrations or is_mark(label) or foreign or squashed)


def _tables(state: ProjectState, connection: BaseDatabaseWrapper) -> dict[str, str]:
    """Return the tables that migrations make on the alias up to this state, with the text that shows each of them."""
    models = [
        model._meta
        for model in state.apps.get_models(include_auto_created=True)
        if owns(connection.alias, model._meta.app_label) and model._meta.can_migrate(connection)
    ]
    return {
        in_one_case(connection, meta.db_table): f"{meta.db_table} ({meta.label})"
        for meta in models
        if '"' not in meta.db_table
    }


def in_one_case(connection: BaseDatabaseWrapper, name: str) -> str:
    """Return the name of a table or a column as the vendor compares it: only PostgreSQL tells upper case from lower."""
    return name if connection.vendor == "postgresql" else name.lower()
