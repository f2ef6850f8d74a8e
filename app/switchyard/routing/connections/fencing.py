"""Read the errors of servers that refuse a write, and notice that an owner's address leads to a server without writes.

The connection of the monitor leads to the old server as long as that server lives. A request opens its connection later
and may reach a standby first.
"""

import sqlite3
from contextlib import suppress
from typing import Any

from django.db import DatabaseError, Error
from django.db.backends.base.base import BaseDatabaseWrapper

from switchyard.routing.errors import OwnerUnavailableError
from switchyard.routing.monitor import monitor
from switchyard.routing.topology.ownership import replicas_of

_READ_ONLY_SQLSTATE = "25006"
_READ_ONLY_ERRNOS = frozenset({1290, 1836})  # MySQL and MariaDB: ER_OPTION_PREVENTS_STATEMENT, ER_READ_ONLY_MODE
_READ_ONLY_TRANSACTION_ERRNO = 1792  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
_PRIMARY_CODE = 0xFF  # SQLite: the other bits of a code say more


def is_write_refusal(vendor: str, driver_error: BaseException | None) -> bool:
    """Return True if the server refused a write, because its transaction, its session or itself is read-only."""
    if driver_error is None:
        return False
    if vendor == "mysql":
        number, message = (*driver_error.args, None, "")[:2]
        # 1290 also reports options that have nothing to do with writes, such as --secure-file-priv.
        return number == _READ_ONLY_TRANSACTION_ERRNO or (number in _READ_ONLY_ERRNOS and "read" in str(message))
    if vendor == "sqlite":
        code: int = getattr(driver_error, "sqlite_errorcode", 0)
        return code & _PRIMARY_CODE == sqlite3.SQLITE_READONLY
    return getattr(driver_error, "sqlstate", None) == _READ_ONLY_SQLSTATE


def unavailable_owner(connection: BaseDatabaseWrapper, error: DatabaseError) -> OwnerUnavailableError | None:
    """Return OwnerUnavailableError if the error says that the server of an owner with replicas takes no writes.

    The monitor then probes the owner over a new connection.
    """
    if not replicas_of(connection.alias) or not _refuses_writes(connection, error):
        return None
    monitor.reconnect(connection.alias)
    if not connection.in_atomic_block:
        with suppress(Error):
            connection.close()
    return OwnerUnavailableError(alias=connection.alias, reason="standby")


def _refuses_writes(connection: BaseDatabaseWrapper, error: DatabaseError) -> bool:
    driver_error = error.__cause__
    if connection.vendor == "mysql":
        return driver_error is not None and not _READ_ONLY_ERRNOS.isdisjoint(driver_error.args[:1])
    # A read-only transaction of the program gives the same error. Only a standby reports `in_hot_standby`.
    return getattr(driver_error, "sqlstate", None) == _READ_ONLY_SQLSTATE and _is_standby(connection.connection)


def _is_standby(driver_connection: Any) -> bool:
    status = driver_connection.pgconn.parameter_status(b"in_hot_standby")  # PostgreSQL 14 and later
    return bool(status == b"on")
