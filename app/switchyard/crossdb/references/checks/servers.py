"""System checks of references that ask the server of the parents (E021, E022, W012-W014)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name
from django.db import connections

from switchyard.crossdb.references.checks.declared import (
    database_cascades,
    recorded_references,
    unseen_cascade,
    vendor_of,
)
from switchyard.crossdb.references.checks.partitions import unseen_partitions
from switchyard.crossdb.references.checks.presence import trigger_presence
from switchyard.crossdb.references.checks.recording import is_pending, migration_of
from switchyard.crossdb.references.checks.rights import has_right
from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.tombstones import Tombstone
from switchyard.crossdb.references.triggers.registry import VENDORS
from switchyard.crossdb.references.unknown import unknown_references
from switchyard.routing.topology.ownership import is_unmanaged, owners

_role_migrates = ContextVar("role_migrates", default=False)


@contextmanager
def role_of_migrations() -> Iterator[None]:
    """Take the roles of the aliases for those of migrations in this block: they need DROP."""
    token = _role_migrates.set(True)
    try:
        yield
    finally:
        _role_migrates.reset(token)


def check_parents(*, databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """Return where the servers of these aliases do not record the deletions of parents.

    Three queries for each reference whose parents are there, and three or four more on MySQL and MariaDB; a query for
    each label of tombstones. The check has the tag `database`, so it runs only for the aliases of `check --database`
    and `migrate`.
    """
    here = [each for each in recorded_references() if each.parent_owner in (databases or ())]
    of_tombstones = [message for alias in owners() if alias in (databases or ()) for message in _unknown(alias)]
    return of_tombstones + [
        message
        for each in here
        if vendor_of(each.parent_owner) in VENDORS
        for check in (_missing_triggers, unseen_partitions, _unseen_cascades, _right_to_truncate)
        for message in check(each)
    ]


def _unknown(alias: str) -> Iterator[CheckMessage]:
    """Yield a warning for each reference that only tombstones name. A migration may be about to change the names."""
    table = Tombstone._meta.db_table
    if _role_migrates.get() or table not in connections[alias].introspection.table_names():
        return
    for each in unknown_references(alias, recorded_references()):
        yield Warning(
            f"'{alias}' has {each.open_tombstones.count()} tombstones of {each.label}, whose deletions no installed"
            " model records: no worker takes them, and the children stay.",
            hint=each.remedy,
            id="switchyard.W013",
        )


def _missing_triggers(reference: Reference) -> Iterator[CheckMessage]:
    owner, parent = reference.parent_owner, reference.parent._meta
    if is_unmanaged(owner) and reference.recorded_by == "triggers":
        return  # E018 reports it
    if not _missing(reference) or is_pending(reference):
        return  # the warnings of unapplied migrations report it
    missing = _missing(reference)  # another process may have migrated since the first look
    if not missing:
        return
    yield Error(
        f"'{owner}' does not record the deletions of {parent.label} for {reference.label}. Missing or disabled there:"
        f" {', '.join(missing)}.",
        hint=f"Run makemigrations and 'migrate --database={owner}'. If the migration is applied, run the SQL that"
        f" 'sqlmigrate {migration_of(reference)} --database={owner}' prints for it, and enable disabled triggers.",
        obj=reference.field,
        id="switchyard.E022",
    )


def _missing(reference: Reference) -> list[str]:
    """Return the table of tombstones and the triggers that are not there, as far as the role sees triggers."""
    table, triggers = Tombstone._meta.db_table, trigger_presence(reference) or {}
    tables = connections[reference.parent_owner].introspection.table_names()
    return [*([] if table in tables else [table]), *(name for name, exists in triggers.items() if not exists)]


def _unseen_cascades(reference: Reference) -> Iterator[CheckMessage]:
    """Yield an error for each cascade of the server, unless the models declare one, which another check reports."""
    if vendor_of(reference.parent_owner) != "mysql" or database_cascades(reference):
        return
    with connections[reference.parent_owner].cursor() as cursor:
        cursor.execute(
            "SELECT constraint_name FROM information_schema.referential_constraints"
            " WHERE constraint_schema = DATABASE() AND table_name = %s AND delete_rule = 'CASCADE'"
            " ORDER BY constraint_name",
            [reference.parent._meta.db_table],
        )
        names = [name for (name,) in cursor.fetchall()]
    for name in names:
        yield unseen_cascade(reference, f"its constraint '{name}'")


def _right_to_truncate(reference: Reference) -> Iterator[CheckMessage]:
    """Yield a warning if the role may TRUNCATE the parents: no trigger of MySQL and MariaDB refuses or records that."""
    owner, table = reference.parent_owner, reference.parent._meta.db_table
    if vendor_of(owner) != "mysql" or _role_migrates.get() or not has_right("DROP", owner, table):
        return
    yield Warning(
        f"The role '{connections.settings[owner]['USER']}' may TRUNCATE '{table}' on '{owner}', and nothing records"
        f" that: the children by {reference.label} would outlive their parents.",
        hint="Let the service connect as a role without DROP, with SELECT, INSERT, UPDATE and DELETE. Only the role of"
        " the migrations needs DROP.",
        obj=reference.field,
        id="switchyard.W012",
    )
