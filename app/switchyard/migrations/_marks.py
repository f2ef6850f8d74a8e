"""The mark of a migration whose changes the database does not roll back.

MySQL and MariaDB commit each DDL statement, and every vendor commits the statements of a migration with
`atomic = False`. If the process is killed in the middle, nothing else tells that a part of the changes is there. The
mark is a row of `django_migrations`, because that table is there before the first migration and needs no other
privilege: app `switchyard:applying` or `switchyard:unapplying`, name `<app>.<migration>`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.migration import Migration
from django.db.migrations.recorder import MigrationRecorder

from switchyard.sql import classify, statement_text

_APPS = {False: "switchyard:applying", True: "switchyard:unapplying"}


class Mark(NamedTuple):
    """A migration that began and did not end."""

    migration: str  # <app>.<migration>
    backwards: bool
    begun_at: datetime


class _Effects:
    """Wrap the statements of a migration, and notice whether one has changed the database for good."""

    lasting = False

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        connection: BaseDatabaseWrapper = context["connection"]
        text = statement_text(sql, connection)
        statement = classify(text, connection.vendor)
        if statement.changes is False:
            return execute(sql, params, many, context)
        if _lasts_if_it_fails(text):
            self.lasting = True
        result = execute(sql, params, many, context)
        commits_itself = statement.operation == "ddl" and not connection.features.can_rollback_ddl
        if connection.in_atomic_block and not commits_itself:
            transaction.on_commit(self._last, using=connection.alias)
        else:
            self._last()
        return result

    def _last(self) -> None:
        self.lasting = True


def _lasts_if_it_fails(text: str) -> bool:
    """Return True for statements of which a part stays: an invalid index, or the first statements of several."""
    return "CONCURRENTLY" in text.upper() or ";" in text.rstrip("; \n")


def transactional(connection: BaseDatabaseWrapper, migration: Migration) -> bool:
    """Return True if the database rolls the whole migration back."""
    return connection.features.can_rollback_ddl and migration.atomic


@contextmanager
def marked(connection: BaseDatabaseWrapper, migration: Migration, *, backwards: bool) -> Iterator[None]:
    """Keep the mark in the database while this block runs.

    After an error the mark stays, except if the server still answers and no statement has changed anything for good.
    """
    recorder, row = MigrationRecorder(connection), (_APPS[backwards], f"{migration.app_label}.{migration.name}")
    effects = _Effects()
    recorder.record_applied(*row)
    try:
        with connection.execute_wrapper(effects):
            yield
    except BaseException:
        if not effects.lasting and connection.is_usable():
            recorder.record_unapplied(*row)
        raise
    recorder.record_unapplied(*row)


def marks(connection: BaseDatabaseWrapper) -> list[Mark]:
    """Return the marks of half-done migrations. A mark that only was not removed, after the record, is left out.

    Queries: one read of the list of tables and one of `django_migrations`.
    """
    rows = MigrationRecorder(connection).applied_migrations()
    found = [
        Mark(name, backwards, row.applied)
        for (app, name), row in rows.items()
        for backwards, label in _APPS.items()
        if app == label
    ]
    return [mark for mark in found if (tuple(mark.migration.split(".", 1)) in rows) == mark.backwards]


def is_mark(app_label: str) -> bool:
    """Return True if a row of `django_migrations` with this app is a mark."""
    return app_label in _APPS.values()


def clear(connection: BaseDatabaseWrapper, name: str) -> None:
    """Remove the marks of the migration."""
    for app in _APPS.values():
        MigrationRecorder(connection).record_unapplied(app, name)


_REMEDIES = {
    False: (
        "'{migration}' is half applied on '{alias}': it began at {begun_at} and did not end, and {server} does not "
        "roll it back. Compare the statements of `sqlmigrate {app} {name} --database={alias}` with the database; "
        "`migration_audit --database={alias}` shows missing tables and columns. Then either remove the changes by hand "
        "and run: migrate {end}. Or make the missing changes by hand and run: migrate {app} {name} --fake {end}."
    ),
    True: (
        "'{migration}' is half undone on '{alias}': its removal began at {begun_at} and did not end, and {server} does "
        "not roll it back. Compare the statements of `sqlmigrate {app} {name} --database={alias} --backwards` with the "
        "database. Then either restore the changes by hand and run: migrate {end}. Or remove the rest by hand and run, "
        "with the migration before it or `zero`: migrate {app} <migration> --fake {end}."
    ),
}


def remedy(mark: Mark, connection: BaseDatabaseWrapper) -> str:
    """Return the message for a start that finds the mark: what to check, and how to clear the mark."""
    app, name = mark.migration.split(".", 1)
    return _REMEDIES[mark.backwards].format(
        migration=mark.migration,
        app=app,
        name=name,
        alias=connection.alias,
        server=connection.display_name,
        begun_at=mark.begun_at.isoformat(" ", "seconds"),
        end=f"--database={connection.alias} --clear-mark={mark.migration}",
    )
