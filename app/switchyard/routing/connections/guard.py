"""Refuse, before SQL, what must not run where it was sent: on every connection, for the ORM and raw cursors alike.

Not seen from here: `callproc()` and what is done on the driver's own connection or cursor (PostgreSQL's
`cursor.copy()`); there the server refuses, because a standby is read-only.
"""

import re
from collections.abc import Callable
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models import Model

from switchyard.routing.connections.transactions import check_cross_owner_write
from switchyard.routing.errors import (
    CrossOwnerQueryError,
    MisplacedWriteError,
    OwnerUnavailableError,
    ReadOnlyBlockWriteError,
    ReadOnlyOwnerWriteError,
    ReplicaLockError,
    ReplicaWriteError,
    RoutingError,
    record_violation,
)
from switchyard.routing.session.context import current, writes_allowed
from switchyard.routing.topology.ownership import is_read_only, replicas_of, replicated_by
from switchyard.routing.topology.replication import replication_set
from switchyard.routing.topology.tables import models_by_table
from switchyard.sql.classifier import Statement, classify, statement_text

_CHANGES = frozenset({"write", "ddl"})
_SHOWN = 80
# Literals, which may hold a password. It may take more for one than the server would, never less.
_LITERAL = re.compile(r"""'(?:[^'\\]|\\.)*+(?:'|\Z)|\$(\w*)\$.*?(?:\$\1\$|\Z)""", re.DOTALL)
_MYSQL_LITERAL = re.compile(rf'{_LITERAL.pattern}|"(?:[^"\\]|\\.)*+(?:"|\Z)', re.DOTALL)


def install() -> None:
    """Put the guard on every connection that is opened from now on."""
    connection_created.connect(_watch, dispatch_uid="switchyard.routing.connections.guard")


def _watch(*, connection: BaseDatabaseWrapper, **_kwargs: Any) -> None:
    # First, so outermost: nothing wraps a refused statement. And never last: `execute_wrapper()` pops the last one
    # when its block ends, which would be the guard if a block was open when the connection was made.
    if guard_statement not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, guard_statement)


def guard_statement(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run the statement, or raise what says where it belongs or why not now (an execute wrapper)."""
    connection = context["connection"]
    text = statement_text(sql, connection)
    statement = classify(text, connection.vendor)
    if (error := check_statement(connection.alias, statement, text)) is not None:
        raise record_violation(error)
    changes = statement.operation in _CHANGES or statement.locks
    if (away := unavailable_error(connection.alias, changes=changes)) is not None:
        raise away
    if statement.operation in _CHANGES:
        check_cross_owner_write(connection)
    return execute(sql, params, many, context)


def check_statement(alias: str, statement: Statement, text: str) -> RoutingError | None:
    """Return what is wrong with running the statement on the alias, None when it may run."""
    owner = replicated_by(alias)
    if statement.operation in _CHANGES:
        if owner is not None:
            return ReplicaWriteError(alias=alias, owner=owner, operation=statement.operation, sql=_shown(text, alias))
        if is_read_only(alias) and not writes_allowed(alias):
            return ReadOnlyOwnerWriteError(alias=alias, operation=statement.operation, sql=_shown(text, alias))
    if (statement.operation in _CHANGES or statement.locks) and alias in current().write_blocked:
        operation = "locking read" if statement.locks else statement.operation
        return ReadOnlyBlockWriteError(alias=alias, operation=operation, sql=_shown(text, alias))
    if statement.locks and owner is not None:
        return ReplicaLockError(alias=alias, owner=owner, sql=_shown(text, alias))
    # DDL names tables of others in constraints; aliases that Django makes up ("__no_db__") own nothing.
    if statement.operation in {"read", "write"} and statement.tables and alias in connections:
        return _foreign_tables(alias, owner or alias, statement)
    return None


def unavailable_error(alias: str, *, changes: bool) -> OwnerUnavailableError | None:
    """Return why the owner cannot be written now, or not even read; None where nothing is known against it."""
    reason = replication_set(alias).snapshot.unavailable_reason if replicas_of(alias) else ""
    if reason and (changes or reason == "down"):
        return OwnerUnavailableError(alias=alias, refusal=reason)
    return None


def _foreign_tables(alias: str, home: str, statement: Statement) -> RoutingError | None:
    """Judge the statement's tables: names that no model has, and names that a model has here, are no one else's."""
    tables = models_by_table()
    here: list[type[Model]] = []
    elsewhere: list[tuple[str, type[Model]]] = []
    for models in (tables[table] for table in statement.tables if table in tables):
        if home in models:
            here.append(models[home])
        else:
            elsewhere.append(next(iter(models.items())))
    if not elsewhere:
        return None
    owner, model = elsewhere[0]
    if here:
        labels = {"model": here[0]._meta.label, "other": model._meta.label}
        return CrossOwnerQueryError(alias=alias, owner=home, other_owner=owner, **labels)
    if statement.operation == "write":
        return MisplacedWriteError(alias=alias, owner=owner, model=model._meta.label)
    # A read that was sent here by name, of tables that an older application may have, too (`inspectdb` does that).
    return None


def _shown(text: str, alias: str) -> str:
    # The beginning tells the statement; values come later, and mostly as parameters.
    literal = _MYSQL_LITERAL if connections[alias].vendor == "mysql" else _LITERAL
    line = " ".join(literal.sub("'...'", text[: 4 * _SHOWN]).split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]} [...]"
