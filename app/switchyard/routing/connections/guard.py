"""Refuse statements that must not run on their alias, before they reach the server, for the ORM and for raw cursors.

The guard does not see `callproc()` and calls on the driver's own connection or cursor, such as `cursor.copy()` of
PostgreSQL. There the server refuses, because a standby is read-only.
"""

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
from switchyard.sql import Statement, classify, masked, statement_text

_CHANGES = frozenset({"write", "ddl"})


def install() -> None:
    """Put the guard on every connection that is opened from now on."""
    connection_created.connect(_add_guard, dispatch_uid="switchyard.routing.connections.guard")


def _add_guard(*, connection: BaseDatabaseWrapper, **_kwargs: Any) -> None:
    # First means outermost: no other wrapper runs for a refused statement. Never last: `execute_wrapper()` pops the
    # last wrapper when its block ends, and would pop the guard if the connection was made inside such a block.
    if guard_statement not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, guard_statement)


def guard_statement(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run the statement, or refuse it (an execute wrapper).

    Raises the `RoutingError` of `check_statement()`, the `OwnerUnavailableError` of `unavailable_error()`, and
    `CrossOwnerTransactionError` if its policy is `raise`.
    """
    connection = context["connection"]
    text = statement_text(sql, connection)
    statement = classify(text, connection.vendor)
    if (error := check_statement(connection.alias, statement, text)) is not None:
        raise record_violation(error)
    changes = statement.operation in _CHANGES or statement.locks
    if (unavailable := unavailable_error(connection.alias, changes=changes)) is not None:
        raise unavailable
    if statement.operation in _CHANGES:
        check_cross_owner_write(connection)
    return execute(sql, params, many, context)


def check_statement(alias: str, statement: Statement, text: str) -> RoutingError | None:
    """Return the error that refuses the statement on the alias; None if the statement may run there.

    `text` is the SQL for the message, which shows its beginning without literals.
    """
    owner = replicated_by(alias)
    if statement.operation in _CHANGES:
        if owner is not None:
            return ReplicaWriteError(
                alias=alias, owner=owner, operation=statement.operation, sql=_sql_for_message(text, alias)
            )
        if is_read_only(alias) and not writes_allowed(alias):
            return ReadOnlyOwnerWriteError(
                alias=alias, operation=statement.operation, sql=_sql_for_message(text, alias)
            )
    if (statement.operation in _CHANGES or statement.locks) and alias in current().write_blocked:
        operation = "locking read" if statement.locks else statement.operation
        return ReadOnlyBlockWriteError(alias=alias, operation=operation, sql=_sql_for_message(text, alias))
    if statement.locks and owner is not None:
        return ReplicaLockError(alias=alias, owner=owner, sql=_sql_for_message(text, alias))
    # DDL names tables of other owners in constraints. Aliases that Django invents ("__no_db__") own nothing.
    if statement.operation in {"read", "write"} and statement.tables and alias in connections:
        return _foreign_tables(alias, owner or alias, statement)
    return None


def unavailable_error(alias: str, *, changes: bool) -> OwnerUnavailableError | None:
    """Return the error of an owner that must not be written now, or cannot even be read; None if it is available.

    `changes` tells a statement that writes or locks rows from a plain read. No query.
    """
    reason = replication_set(alias).snapshot.unavailable_reason if replicas_of(alias) else ""
    if reason and (changes or reason == "down"):
        return OwnerUnavailableError(alias=alias, reason=reason)
    return None


def _foreign_tables(alias: str, home: str, statement: Statement) -> RoutingError | None:
    """Return an error if a table belongs to another owner; unknown tables and tables with a model here are allowed."""
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
    # A read with an explicit alias: an older application may have a table of the same name (`inspectdb` reads it).
    return None


def _sql_for_message(text: str, alias: str) -> str:
    return masked(text, connections[alias].vendor)
