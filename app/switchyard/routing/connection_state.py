"""Whether a transaction is open on a connection. Pure look-ups, no I/O.

`connections[alias]` costs more than all the rest of a routing decision. So the connections on which a transaction may
be open are kept here for each thread: `RoutedConnection` reports where a transaction begins.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any


def has_open_transaction(connection: Any) -> bool:
    """Return True if a transaction is open on the connection, or begins with its next statement.

    Transactions that a `TestCase` opened count.
    """
    return bool(connection.in_atomic_block or (connection.connection is not None and not connection.autocommit))


def in_program_transaction(connection: Any) -> bool:
    """Return True if the program itself has a transaction open on the connection.

    Transactions that a `TestCase` opened do not count. Django tells them apart in the same way for durable blocks.
    """
    if connection.in_atomic_block:
        # Not by `outermost_program_block()`: its call and its numbers would cost a tenth of a decision's time.
        for block in connection.atomic_blocks:  # noqa: SIM110 - a generator would cost as much
            if not block._from_testcase:  # noqa: SLF001 - no public name says it
                return True
        return False
    # `get_autocommit()` would open the connection; before it is open `autocommit` says nothing.
    return connection.connection is not None and not connection.autocommit


def outermost_program_block(connection: Any) -> int | None:
    """Return the index in `connection.atomic_blocks` of the program's outermost block; None without such a block."""
    for index, block in enumerate(connection.atomic_blocks):
        if not block._from_testcase:  # noqa: SLF001 - no public name says it
            return index
    return None


class _Transactions(threading.local):
    """The calling thread's connections, by alias, that may have an open transaction; it misses none."""

    def __init__(self) -> None:
        self.connections: dict[str, Any] = {}


_transactions = _Transactions()


def transaction_begins(connection: Any) -> None:
    """Report that a transaction begins on the connection, in this thread."""
    _transactions.connections[connection.alias] = connection


def transaction_ended(connection: Any) -> None:
    """Report that no transaction is open on the connection any more."""
    _transactions.connections.pop(connection.alias, None)


def program_transaction_on(alias: str) -> Any | None:
    """Return this thread's connection to the alias if the program has a transaction open on it, else None."""
    connection = _transactions.connections.get(alias)
    if connection is None or in_program_transaction(connection):
        return connection
    if not has_open_transaction(connection):  # closed during its transaction, which nothing reported
        transaction_ended(connection)
    return None


@contextmanager
def assume_transaction(alias: str, *, is_open: bool) -> Iterator[None]:
    """Let this thread take a transaction of the program on the alias for open, or for not open, in this block.

    For explanations. No statement may run in the block.
    """
    before = _transactions.connections
    block = SimpleNamespace(_from_testcase=False)
    open_connection = SimpleNamespace(in_atomic_block=True, atomic_blocks=[block])
    _transactions.connections = {alias: open_connection} if is_open else {}
    try:
        yield
    finally:
        _transactions.connections = before
