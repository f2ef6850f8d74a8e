"""Notice that the address of an owner leads to a server that takes no writes: its server refused a write.

The connection of the monitor leads to the old server as long as that server lives. A request opens its connection later
and may reach a standby first.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.db import DatabaseError, Error
from django.db.backends.base.base import BaseDatabaseWrapper

from switchyard.routing.errors import OwnerUnavailableError
from switchyard.routing.monitor import monitor
from switchyard.routing.topology.ownership import replicas_of

_READ_ONLY_SQLSTATE = "25006"
_READ_ONLY_ERRNOS = frozenset({1290, 1836})  # MySQL and MariaDB: ER_OPTION_PREVENTS_STATEMENT, ER_READ_ONLY_MODE


def detect_read_only(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run the statement; raise OwnerUnavailableError if the server of an owner takes no writes (an execute wrapper).

    The monitor then probes the owner over a new connection.
    """
    try:
        return execute(sql, params, many, context)
    except DatabaseError as error:
        connection = context["connection"]
        if not replicas_of(connection.alias) or not _refuses_writes(connection, error):
            raise
        monitor.reconnect(connection.alias)
        if not connection.in_atomic_block:
            with suppress(Error):
                connection.close()
        raise OwnerUnavailableError(alias=connection.alias, reason="standby") from error


def _refuses_writes(connection: BaseDatabaseWrapper, error: DatabaseError) -> bool:
    driver_error = error.__cause__
    if connection.vendor == "mysql":
        return driver_error is not None and not _READ_ONLY_ERRNOS.isdisjoint(driver_error.args[:1])
    # A read-only transaction of the program gives the same error. Only a standby reports `in_hot_standby`.
    return getattr(driver_error, "sqlstate", None) == _READ_ONLY_SQLSTATE and _is_standby(connection.connection)


def _is_standby(driver_connection: Any) -> bool:
    status = driver_connection.pgconn.parameter_status(b"in_hot_standby")  # PostgreSQL 14 and later
    return bool(status == b"on")
