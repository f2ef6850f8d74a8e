"""An owner's address that leads to a server which takes no writes, noticed by the write that is refused there.

The refresher's own connection leads to the old server as long as that lives; a request's, opened later, to a standby.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.db import DatabaseError, Error
from django.db.backends.base.base import BaseDatabaseWrapper

from switchyard.routing.errors import OwnerUnavailableError
from switchyard.routing.monitor import monitor
from switchyard.routing.topology.ownership import replicas_of

_READ_ONLY_TRANSACTION = "25006"
_READ_ONLY_SERVERS = frozenset({1290, 1836})  # of MySQL and MariaDB: by an option, for a while


def detect_read_only(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run the statement; where an owner's server takes no writes, say so and let it be judged (an execute wrapper)."""
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
        raise OwnerUnavailableError(alias=connection.alias, refusal="standby") from error


def _refuses_writes(connection: BaseDatabaseWrapper, error: DatabaseError) -> bool:
    raised = error.__cause__
    if connection.vendor == "mysql":
        return raised is not None and not _READ_ONLY_SERVERS.isdisjoint(raised.args[:1])
    # A transaction that the program began as read-only is the program's mistake; the server has told which it is.
    return getattr(raised, "sqlstate", None) == _READ_ONLY_TRANSACTION and _is_standby(connection.connection)


def _is_standby(driver_connection: Any) -> bool:
    status = driver_connection.pgconn.parameter_status(b"in_hot_standby")  # PostgreSQL 14 and later
    return bool(status == b"on")
