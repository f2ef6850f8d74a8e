"""Classify a SQL text: its operation, the tables that it names and the functions that it calls.

The text alone decides. The classification does not see the effects of a view, an operator, a cast, a rule, a policy or
a trigger behind a SELECT, nor a PostgreSQL function that is written as a column (`row.function`). A FETCH runs the
query of its DECLARE, which is a text of its own. How one statement is read is in `reader.py`.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, NamedTuple

from switchyard.sql.keywords import STRENGTH, Operation
from switchyard.sql.reader import StatementReader
from switchyard.sql.tokenizer import END, Token, tokens

# Longer texts are classified each time, so that the cache holds at most 1,024 x 4,096 characters.
_MAX_CACHED_CHARACTERS = 4096
_MAX_CACHED_TEXTS = 1024

_SEMICOLON = Token("mark", ";")
_EXECUTABLE_COMMENT = re.compile(r"/\*M?!")  # MySQL's and MariaDB's; the server's version decides whether it is run


class Statement(NamedTuple):
    """The classification of a SQL text. If the text holds several statements, it covers all of them."""

    operation: Operation  # the strongest one: `ddl` before `write`, `read`, `tx` (transaction control) and `other`
    tables: tuple[str, ...]  # the named tables in order: lower case, without schema
    locks: bool  # the text locks rows or tables
    calls: tuple[str, ...] = ()  # called functions not known to be read-only, named like tables; empty for a write
    changes: bool | None = False  # whether the server may write; None if that depends on the functions in `calls`


def classify(sql: str, vendor: str) -> Statement:
    """Classify a SQL text in the dialect of the vendor: `postgresql`, `mysql` (also MariaDB) or `sqlite`.

    A text that is not understood is a write, and another vendor's text is read as PostgreSQL's. No text raises an
    error. Literals are read as a server with its default settings reads them (`standard_conforming_strings` on, no
    ANSI_QUOTES).

    >>> classify("SELECT * FROM shop_order FOR UPDATE", "postgresql")
    Statement(operation='read', tables=('shop_order',), locks=True, calls=(), changes=True)
    >>> classify("SELECT tidy_up(id) FROM shop.shop_order", "postgresql")
    Statement(operation='read', tables=('shop_order',), locks=False, calls=('tidy_up',), changes=None)
    """
    return _classify_cached(sql, vendor) if len(sql) <= _MAX_CACHED_CHARACTERS else _classify(sql, vendor)


def statement_text(sql: Any, connection: Any) -> str:
    """Return the text of a statement that `execute()` takes: drivers also take bytes and composed objects.

    `connection.connection` is the driver's connection, which psycopg needs for the text of a composed object.

    >>> statement_text(b"SELECT 1", connection=None)
    'SELECT 1'
    """
    if isinstance(sql, str):
        return sql
    if isinstance(sql, bytes):
        return sql.decode(errors="replace")
    compose = getattr(sql, "as_string", None)
    return str(sql) if compose is None else str(compose(connection.connection))


def _classify(sql: str, vendor: str) -> Statement:
    statements = [each for each in _statements(sql, vendor) if each.verb]
    operations = (each.operation for each in statements)
    operation: Operation = max(operations, key=STRENGTH.__getitem__, default="other")
    tables = tuple(dict.fromkeys(table for each in statements for table in each.tables))
    locks = any(each.locks for each in statements)
    if operation in {"write", "ddl"}:
        return Statement(operation, tables, locks, changes=True)
    calls = tuple(dict.fromkeys(call for each in statements for call in each.calls))
    # PostgreSQL logs a row lock, and an exclusive table lock, with a transaction id: a replica must replay it.
    changes = (locks and vendor == "postgresql") or (vendor == "mysql" and _EXECUTABLE_COMMENT.search(sql) is not None)
    return Statement(operation, tables, locks, calls, changes or (None if calls else False))


_classify_cached = lru_cache(maxsize=_MAX_CACHED_TEXTS)(_classify)


def _statements(sql: str, vendor: str) -> Iterator[StatementReader]:
    """Yield a reader for each statement of the text, at the end of its statement."""
    reader = StatementReader(vendor)
    for token, following in pairwise(chain(tokens(sql, vendor), (END,))):
        if token != _SEMICOLON:
            reader.take(token, following)
        else:
            yield reader
            reader = StatementReader(vendor)
    yield reader
