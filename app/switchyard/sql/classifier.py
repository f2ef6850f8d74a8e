"""Classify a SQL text: its operation, the tables that it names and the functions that it calls.

The text alone decides. The classification does not see the effects of a view, an operator, a cast, a rule, a policy or
a trigger behind a SELECT, nor a PostgreSQL function that is written as a column (`row.function`). A FETCH runs the
query of its DECLARE, which is a text of its own. How one statement is read is in `reader.py`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise
from typing import Any

from switchyard.sql.keywords import STRENGTH, Operation
from switchyard.sql.reader import StatementReader
from switchyard.sql.readings import Reading, readings_of
from switchyard.sql.tokenizer import END, Token, dialect_of, tokens

# Longer texts are classified each time, so that the cache holds at most 1,024 x 4,096 characters.
_MAX_CACHED_CHARACTERS = 4096
_MAX_CACHED_TEXTS = 1024

_SEMICOLON = Token("mark", ";")


@dataclass(frozen=True, slots=True)
class Statement:
    """The classification of a SQL text. If the text holds several statements, it covers all of them."""

    operation: Operation  # the strongest one: `ddl` before `write`, `read`, `tx` (transaction control) and `other`
    tables: tuple[str, ...]  # the named tables in order: lower case, without schema
    locks: bool  # the text locks rows or tables
    calls: tuple[str, ...] = ()  # called functions not known to be read-only, named like tables; empty for a write
    changes: bool | None = False  # whether the server may write; None if that depends on the functions in `calls`
    built_in: tuple[str, ...] = ()  # called functions that only read, unless the database has another one of the name
    advisory_lock: bool = False  # the text may take a lock that only the server which runs it knows
    ends_transaction: bool = False  # the text ends or begins a transaction


_UNREADABLE = Statement("write", (), locks=False, changes=True, ends_transaction=True)


def classify(sql: str, vendor: str) -> Statement:
    """Classify a SQL text in the dialect of the vendor: `postgresql`, `mysql` (also MariaDB) or `sqlite`.

    A text that is not understood is a write, and another vendor's text is read as PostgreSQL's. No text raises an
    error. If a setting of the session or the version of the server decides how a text is read, the strongest reading
    counts.

    >>> statement = classify("SELECT * FROM shop_order FOR UPDATE", "postgresql")
    >>> statement.operation, statement.tables, statement.locks, statement.changes
    ('read', ('shop_order',), True, True)
    >>> statement = classify("SELECT tidy_up(id) FROM shop.shop_order", "postgresql")
    >>> statement.operation, statement.calls, statement.changes
    ('read', ('tidy_up',), None)
    """
    return statements_of(vendor)[sql]


@cache
def statements_of(vendor: str) -> Mapping[str, Statement]:
    """Return the statements of a vendor by their text, with every text: `statements_of(vendor)[sql]`.

    It is `classify()` for callers that classify each statement of a program.
    """
    return _Statements(vendor)


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
    dialect = dialect_of(vendor)
    readings = readings_of(sql, dialect)
    if readings is None:
        return _UNREADABLE
    if len(readings) == 1:
        return classify_reading(sql, dialect, readings[0])
    return _strongest([classify_reading(sql, dialect, reading) for reading in readings])


def _strongest(found: list[Statement]) -> Statement:
    """Return the statement that counts if each of these may be the text's."""
    operation = max((each.operation for each in found), key=STRENGTH.__getitem__)
    changes = True if any(each.changes for each in found) else None if any(each.calls for each in found) else False
    is_change = operation in {"write", "ddl"}
    return Statement(
        operation,
        _distinct(each.tables for each in found),
        locks=any(each.locks for each in found),
        calls=() if is_change else _distinct(each.calls for each in found),
        changes=changes,
        built_in=() if is_change else _distinct(each.built_in for each in found),
        advisory_lock=any(each.advisory_lock for each in found),
        ends_transaction=any(each.ends_transaction for each in found),
    )


def classify_reading(sql: str, dialect: str, reading: Reading) -> Statement:
    """Classify one reading of the text. `classify()` takes the strongest of all readings."""
    statements = [each for each in _statements(sql, dialect, reading) if each.verb]
    operations = [each.operation for each in statements]
    operation: Operation = max(operations, key=STRENGTH.__getitem__, default="other")
    tables = _distinct(each.tables for each in statements)
    locks = any(each.locks for each in statements)
    ends_transaction = any(each.ends_transaction for each in statements)
    if operation in {"write", "ddl"}:
        return Statement(operation, tables, locks, changes=True, ends_transaction=ends_transaction)
    calls = _distinct(each.calls for each in statements)
    # PostgreSQL logs a row lock, and an exclusive table lock, with a transaction id: a replica must replay it. An
    # unknown function beside a COMMIT may have written in a transaction that is over when the text ends.
    changes = (locks and dialect == "postgresql") or (bool(calls) and ends_transaction)
    return Statement(
        operation,
        tables,
        locks,
        calls,
        changes=changes or (None if calls else False),
        built_in=_distinct(each.built_in for each in statements),
        advisory_lock=any(each.advisory_lock for each in statements),
        ends_transaction=ends_transaction,
    )


def _distinct(names: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(names)))


class _Statements(dict[str, Statement]):
    """The statements of short texts, and a classification for each other text."""

    __slots__ = ("_vendor",)

    def __init__(self, vendor: str) -> None:
        super().__init__()
        self._vendor = vendor

    def __missing__(self, sql: str) -> Statement:
        statement = _classify(sql, self._vendor)
        if len(sql) <= _MAX_CACHED_CHARACTERS:
            if len(self) >= _MAX_CACHED_TEXTS:
                self.clear()  # at once, because other threads change the dictionary, too
            self[sql] = statement
        return statement


def _statements(sql: str, dialect: str, reading: Reading) -> Iterator[StatementReader]:
    """Yield a reader for each statement of the text, at the end of its statement."""
    reader = StatementReader(dialect)
    for token, following in pairwise(chain(tokens(sql, dialect, reading), (END,))):
        if token != _SEMICOLON:
            reader.take(token, following)
        else:
            yield reader
            reader = StatementReader(dialect)
    yield reader
