"""Connections that look as they do inside a transaction. No statement is sent."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections
from django.db.transaction import Atomic

from switchyard.routing.connection_state import transaction_begins, transaction_ended

# Kind -> the open `atomic()` blocks, the outermost first; True for a block that a TestCase opened.
_BLOCKS = {"testcase": [True], "own": [False], "own in testcase": [True, False]}


@contextmanager
def transaction(kind: str, alias: str = "default") -> Iterator[None]:
    """Give the connection the state of this kind of transaction in this block.

    `own` is an `atomic()` block of the program, `testcase` a block of a TestCase, `begun` a transaction without
    `atomic()`, `closed` a connection that is not open, and `none` an open connection without a transaction.
    """
    connection = connections[alias]
    before = connection.in_atomic_block, connection.atomic_blocks, connection.autocommit, connection.connection
    blocks = []
    for from_testcase in _BLOCKS.get(kind, []):
        block = Atomic(alias, savepoint=True, durable=False)
        block._from_testcase = from_testcase
        blocks.append(block)
    connection.in_atomic_block, connection.atomic_blocks = bool(blocks), blocks
    connection.autocommit = kind == "none"
    connection.connection = None if kind == "closed" else object()
    transaction_begins(connection)
    try:
        yield
    finally:
        transaction_ended(connection)
        connection.in_atomic_block, connection.atomic_blocks, connection.autocommit, connection.connection = before
