"""Signals about connections, transactions and calls that stand out, for telemetry.

Each one has the alias. No receiver may send a query.
"""

from typing import Any

from django.dispatch import Signal

connection_opened = Signal()  # alias; by the pool of a process as well, and not when the pool lends it
connection_closed = Signal()  # alias
connection_failed = Signal()  # alias, error: the exception of the driver
transaction_ended = Signal()  # alias, committed, seconds: None if nobody knows when it began

# alias, vendor, sql, seconds, error: the exception of the driver, None for a call that was only slow
call_stood_out = Signal()

_IDLE, _FAILED = 0, 3  # libpq's PQTRANS_IDLE and PQTRANS_INERROR


def open_transaction(connection: Any) -> str:
    """Return `commit` or `rollback`: how a COMMIT would end the open transaction; empty if the server has none.

    MySQL does not tell: there each end of a transaction counts.
    """
    driver = connection.connection
    if connection.vendor == "postgresql":
        status = driver.pgconn.transaction_status
        return "" if status == _IDLE else "rollback" if status == _FAILED else "commit"
    if connection.vendor == "sqlite":
        return "commit" if driver.in_transaction else ""
    return "commit"
