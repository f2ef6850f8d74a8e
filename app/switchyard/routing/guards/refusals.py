"""Run each statement in the access mode of its alias, and name the mistake if the server refuses a write.

The last execute wrapper. The server's error stays the cause of the error that is raised. Calls that pass no execute
wrapper (COPY, `stream()`, stored procedures, the driver's own cursor) raise the error of the driver.
"""

from collections.abc import Callable
from typing import Any

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from switchyard.routing.errors import record_violation
from switchyard.routing.guards.access_mode import forget_access_mode, set_access_mode
from switchyard.routing.guards.fencing import is_write_refusal, unavailable_owner
from switchyard.routing.guards.guard import hidden_write_error
from switchyard.routing.guards.read_only_transaction import needs_transaction, read_only_transaction
from switchyard.routing.monitor.probes.volatile_functions import may_write
from switchyard.routing.topology.ownership import is_held_read_only
from switchyard.sql.classifier import classify, statement_text


def install() -> None:
    """Put the wrapper on every connection that is opened from now on. A second call changes nothing."""
    connection_created.connect(_add_wrapper, dispatch_uid="switchyard.routing.guards.refusals")


def _add_wrapper(*, connection: BaseDatabaseWrapper, **_signal: Any) -> None:
    # A copy of a connection has the guard alone. Never last, as the guard.
    if run_in_access_mode not in connection.execute_wrappers:
        connection.execute_wrappers.insert(1, run_in_access_mode)


def run_in_access_mode(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run the statement in the access mode of its alias (an execute wrapper).

    Raises OwnerUnavailableError if the server of an owner takes no writes, and a `RoutingError` if the server refused a
    write that the guard did not see.
    """
    connection = context["connection"]
    try:
        if not is_held_read_only(connection.alias):
            return execute(sql, params, many, context)
        return _run_held(execute, sql, params, many, context)
    except DatabaseError as error:
        if (unavailable := unavailable_owner(connection, error)) is not None:
            raise unavailable from error
        if is_write_refusal(connection.vendor, error.__cause__):
            refusal = hidden_write_error(connection, statement_text(sql, connection))
            if refusal is not None:
                raise record_violation(refusal) from error
        raise


def _run_held(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    connection = context["connection"]
    set_access_mode(connection)
    if needs_transaction(connection):
        with connection.wrap_database_errors, read_only_transaction(connection):
            return execute(sql, params, many, context)
    try:
        return execute(sql, params, many, context)
    finally:
        # The driver of PostgreSQL knows the mode, whatever a called function has changed.
        if connection.vendor != "postgresql":
            statement = classify(statement_text(sql, connection), connection.vendor)
            if statement.changes is None and may_write(statement, connection.alias):
                forget_access_mode(connection)
