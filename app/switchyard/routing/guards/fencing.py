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
from switchyard.routing.topology.ownership import is_held_read_only, replicas_of

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
    """Return OwnerUnavailableError if the error says that the server of an owner takes no writes.

    The monitor then probes an owner with replicas over a new connection, which may lead to another server.
    """
    if is_write_refusal(connection.vendor, error.__cause__) and _is_read_only_by_default(connection):
        return OwnerUnavailableError(alias=connection.alias, reason="read_only")
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
    return _reports(driver_connection, b"in_hot_standby")


def _is_read_only_by_default(connection: BaseDatabaseWrapper) -> bool:
    """Return True if somebody has set PostgreSQL to refuse writes; Switchyard sets so what it holds read-only."""
    if connection.vendor != "postgresql" or is_held_read_only(connection.alias) or connection.connection is None:
        return False
    return _reports(connection.connection, b"default_transaction_read_only")


def _reports(driver_connection: Any, setting: bytes) -> bool:
    """Return True if the server has reported that the setting is on, as PostgreSQL 14 and later do. No query."""
    return bool(driver_connection.pgconn.parameter_status(setting) == b"on")
