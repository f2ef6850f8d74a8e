"""Refuse statements that must not run on their alias, before they reach the server, for the ORM and for raw cursors.

COPY, `stream()`, `executescript()` and `callproc()` of MySQL pass no execute wrapper. `check_unwrapped_call()` checks
them on aliases whose sessions the server holds read-only. The guard does not see calls on the driver's own connection
or cursor: there the server refuses (access_mode.py).
"""

from collections.abc import Callable
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from switchyard.conf import conf
from switchyard.routing.connection_state import has_open_transaction
from switchyard.routing.errors import (
    AccessModeError,
    CrossOwnerQueryError,
    MisplacedWriteError,
    OwnerUnavailableError,
    ReadOnlyBlockWriteError,
    ReadOnlyOwnerWriteError,
    ReadOnlyTransactionError,
    ReplicaLockError,
    ReplicaWriteError,
    RoutingError,
    record_violation,
)
from switchyard.routing.guards.access_mode import set_access_mode
from switchyard.routing.guards.transactions import check_cross_owner_write
from switchyard.routing.monitor.probes.volatile_functions import may_write
from switchyard.routing.monitor.waits import waits_for
from switchyard.routing.session.context import current, writes_allowed
from switchyard.routing.session.tracking import is_fallback_read
from switchyard.routing.topology.ownership import is_held_read_only, is_read_only, replicated_by
from switchyard.routing.topology.replication import replication_set
from switchyard.routing.topology.tables import models_by_table, models_of
from switchyard.sql import Statement, classify, masked, statement_text, statements_of
from switchyard.sql.transaction_control import transaction_control

_CHANGES = frozenset({"write", "ddl"})
_MAY_CONTROL = frozenset({"tx", "other"})  # statements that may end a transaction or change an access mode


def install() -> None:
    """Put the guard on every connection that is opened from now on."""
    connection_created.connect(_add_guard, dispatch_uid="switchyard.routing.guards.guard")


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
    text = sql if type(sql) is str else statement_text(sql, connection)
    statement = statements_of(connection.vendor)[text]
    if (error := check_statement(connection.alias, statement, text)) is not None:
        raise record_violation(error)
    changes = statement.operation in _CHANGES or statement.locks
    # A copy of a connection reads from its server whatever the monitor says: its user waits for that server.
    # A fallback read waits for a replica itself.
    if (
        (changes or hasattr(connection, "has_circuit"))
        and (unavailable := unavailable_error(connection.alias, changes=changes)) is not None
        and (changes or not is_fallback_read(connection.alias))
    ):
        raise unavailable
    if statement.operation in _CHANGES:
        check_cross_owner_write(connection)
    return execute(sql, params, many, context)


def check_statement(alias: str, statement: Statement, text: str) -> RoutingError | None:  # noqa: PLR0911 - one for each
    """Return the error that refuses the statement on the alias; None if the statement may run there.

    `text` is the SQL for the message, which shows its beginning without literals.
    """
    owner = replicated_by(alias)
    if statement.operation in _CHANGES:
        if owner is not None:
            return ReplicaWriteError(
                alias=alias,
                operation=statement.operation,
                sql=_sql_for_message(text, alias),
                **_place_of_rows(owner, statement),
            )
        if _is_closed(alias):
            # `allow_writes()` is no remedy for rows that are written elsewhere.
            return _misplaced(alias, statement) or ReadOnlyOwnerWriteError(
                alias=alias, operation=statement.operation, sql=_sql_for_message(text, alias)
            )
    if (statement.operation in _CHANGES or statement.locks) and alias in current().write_blocked:
        operation = "locking read" if statement.locks else statement.operation
        return ReadOnlyBlockWriteError(alias=alias, operation=operation, sql=_sql_for_message(text, alias))
    if statement.locks and owner is not None:
        return ReplicaLockError(alias=alias, sql=_sql_for_message(text, alias), **_place_of_rows(owner, statement))
    if (statement.operation in _MAY_CONTROL or ";" in text) and (
        error := _transaction_control_error(alias, statement, text)
    ) is not None:
        return error
    # DDL names tables of other owners in constraints. Aliases that Django invents ("__no_db__") own nothing.
    if statement.operation in {"read", "write"} and statement.tables and alias in connections.settings:
        return _foreign_tables(alias, owner or alias, statement)
    return None


def _transaction_control_error(alias: str, statement: Statement, text: str) -> RoutingError | None:
    """Return an error if the text would leave the read-only transaction, or the access mode of the session."""
    context = current()
    in_block = alias in context.write_blocked or alias in context.read_only_aliases.values()
    held = replicated_by(alias) is not None or _is_closed(alias)
    if not in_block and not held:
        return None
    control = transaction_control(text, connections[alias].vendor)
    if in_block and (control.has_boundary or control.makes_writable):
        return ReadOnlyBlockWriteError(
            alias=alias, operation="transaction control statement", sql=_sql_for_message(text, alias)
        )
    if held and control.makes_writable:
        return AccessModeError(alias=alias, operation="change of the access mode", sql=_sql_for_message(text, alias))
    # After COMMIT, or a function that changes the session, the next statement of the text may be writable.
    if held and control.statements > 1 and (control.has_boundary or may_write(statement, alias)):
        return AccessModeError(alias=alias, operation="text with several statements", sql=_sql_for_message(text, alias))
    return None


def hidden_write_error(connection: BaseDatabaseWrapper, text: str) -> RoutingError | None:
    """Return the error for a write that the guard did not see and the server refused.

    Returns None on other aliases: there the program has opened a read-only transaction itself.
    """
    alias, sql = connection.alias, _sql_for_message(text, connection.alias)
    if replicated_by(alias) is not None:
        return hidden_write_on_replica(alias, text)
    if _is_closed(alias):
        return ReadOnlyOwnerWriteError(alias=alias, operation="hidden write", sql=sql)
    if alias in current().write_blocked:
        return ReadOnlyBlockWriteError(alias=alias, operation="hidden write", sql=sql)
    if is_read_only(alias) and has_open_transaction(connection):
        return ReadOnlyTransactionError(alias=alias, sql=sql)
    return None


def hidden_write_on_replica(alias: str, text: str) -> ReplicaWriteError:
    """Return the error for a write that the guard did not see, on a replica or on the alias in its place."""
    place = _place_of_rows(replicated_by(alias) or alias, classify(text, connections[alias].vendor))
    return ReplicaWriteError(alias=alias, operation="hidden write", sql=_sql_for_message(text, alias), **place)


def check_unwrapped_call(alias: str, statement: Statement, text: str) -> None:
    """Refuse a call that passes no execute wrapper, on an alias whose sessions the server holds read-only.

    A procedure of MySQL may begin a writable transaction itself. READ_ONLY_FUNCTIONS names procedures that do not.
    Raises the `RoutingError` of `check_statement()`.
    """
    if not is_held_read_only(alias):
        return
    set_access_mode(connections[alias])
    called = text.removeprefix("CALL ").rpartition(".")[2].strip("`")
    if called != text and called.lower() in conf.read_only_functions:
        return
    if (error := check_statement(alias, statement, text)) is not None:
        raise record_violation(error)


def unavailable_error(alias: str, *, changes: bool) -> OwnerUnavailableError | None:
    """Return the error of an owner that must not be written now, or cannot even be read; None if it is available.

    `changes` tells a statement that writes or locks rows from a plain read. No query.
    """
    snapshot = replication_set(alias).snapshot
    reason = snapshot.unavailable_reason
    if reason and (changes or reason == "down"):
        return OwnerUnavailableError(alias=alias, reason=reason)
    if snapshot.answers_late and waits_for(alias).is_full():
        return OwnerUnavailableError(alias=alias, reason="busy")
    return None


def _foreign_tables(alias: str, home: str, statement: Statement) -> RoutingError | None:
    """Return an error if a table belongs to another owner; unknown tables and tables with a model here are allowed."""
    here, elsewhere = models_of(statement.tables, home)
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


def _is_closed(alias: str) -> bool:
    """Return True for a read-only owner outside `allow_writes()`."""
    return is_read_only(alias) and not writes_allowed(alias)


def _misplaced(alias: str, statement: Statement) -> RoutingError | None:
    """Return the error of a write on the alias if all its known tables belong to other owners."""
    error = _foreign_tables(alias, alias, statement) if statement.operation == "write" else None
    return error if isinstance(error, MisplacedWriteError) else None


def _place_of_rows(replicated: str, statement: Statement) -> dict[str, str]:
    """Return the values of a message about a replica of `replicated`: also the owner and the app of the rows.

    The first known table decides: a statement names the table that it writes first.
    """
    tables = models_by_table()
    models = next((tables[table] for table in statement.tables if table in tables), {})
    owner = next(iter(models), replicated) if replicated not in models else replicated
    app = f"'{models[owner]._meta.app_label}'" if models else "its app"
    return {"replicated": replicated, "owner": owner, "app": app}


def _sql_for_message(text: str, alias: str) -> str:
    return masked(text, connections[alias].vendor)
