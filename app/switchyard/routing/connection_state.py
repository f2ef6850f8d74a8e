"""Whether a transaction is open on a connection, and which connection this thread has. Pure look-ups, no I/O."""

from typing import Any

from django.db import connections


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
        for block in connection.atomic_blocks:  # noqa: SIM110 - `any()` of a generator takes a tenth of a decision
            if not block._from_testcase:  # noqa: SLF001 - no public name says it
                return True
        return False
    # `get_autocommit()` would open the connection; before it is open `autocommit` says nothing.
    return connection.connection is not None and not connection.autocommit


def alias_in_program_transaction(alias: str) -> bool:
    """Return True if the program has a transaction open on this thread's connection to the alias."""
    return in_program_transaction(thread_connection(alias))


def thread_connection(alias: str) -> Any:
    """Return `connections[alias]`, at a tenth of its cost in a thread without an event loop.

    Asking asgiref's Local takes longer than all the rest of a decision; the thread's own storage lies behind it.
    https://github.com/django/asgiref/blob/3.13.0/asgiref/local.py
    """
    try:
        return getattr(thread, alias)
    except AttributeError:
        return connections[alias]


thread = getattr(connections._connections, "_storage", None)  # type: ignore[attr-defined]  # noqa: SLF001 - see above
