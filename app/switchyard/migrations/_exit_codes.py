"""The exit codes of `migrate` and `migrate_all`. They tell a supervisor whether another start may succeed."""

import sqlite3

from django.db import DatabaseError, InterfaceError, OperationalError

MIGRATED = 0
MAY_RETRY = 1  # also Python's own code for an error that nobody expected
DO_NOT_RETRY = 3  # argparse ends a wrong command line with 2, and a retry does not help there either

# Classes of SQLSTATE: connection, rollback by the server, resources, operator intervention, system error. And two
# states: a lock that was not available, and a server that takes no writes, as during a switchover.
_SQLSTATE_CLASSES = frozenset({"08", "40", "53", "57", "58"})
_SQLSTATES = frozenset({"55P03", "25006"})
# mysqlclient's error numbers. First: no server at the socket, host or name; gone away; too many connections; shutting
# down. Then: disk full, lock wait, deadlock, read-only server (three), statement or connection ended by another one.
MYSQL_UNREACHABLE = frozenset({2002, 2003, 2005, 2006, 2013, 1040, 1053})
_MYSQL = MYSQL_UNREACHABLE | {1021, 1205, 1213, 1290, 1792, 1836, 1317, 3024, 1927}
_SQLITE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    }
)


def exit_code_of(error: BaseException) -> int:
    """Return `MAY_RETRY` for an error of the server or of the connection, `DO_NOT_RETRY` for an error of a migration.

    >>> exit_code_of(OperationalError(1213, "Deadlock found")), exit_code_of(OperationalError(1060, "Duplicate column"))
    (1, 3)
    """
    return MAY_RETRY if isinstance(error, InterfaceError) or _is_transient(error) else DO_NOT_RETRY


def _is_transient(error: BaseException) -> bool:
    if not isinstance(error, DatabaseError):
        return False
    driver_error = error.__cause__
    if error.args and isinstance(error.args[0], int):  # mysqlclient
        return error.args[0] in _MYSQL
    if code := getattr(driver_error, "sqlite_errorcode", None):
        return code & 0xFF in _SQLITE  # the low byte of an extended code is the code
    if state := getattr(driver_error, "sqlstate", None):
        return state in _SQLSTATES or state[:2] in _SQLSTATE_CLASSES
    return isinstance(error, OperationalError)  # libpq lost or refused the connection: no state of the server
