"""A SQL text for messages and logs: without its literals, numbers and comments, which may hold a password.

The text is read by the tokens of the vendor's own dialect. If two readings of the text disagree about a literal, the
message shows the shape alone: the verb and the tables.
"""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import NamedTuple

from switchyard.sql.classifier import classify_reading
from switchyard.sql.keywords import VERBS
from switchyard.sql.readings import Reading, readings_of
from switchyard.sql.tokenizer import (
    END,
    OPENING_COMMENTS,
    dialect_of,
    end_of_skipped,
    lower,
    pattern,
    tokens,
    unquoted,
)

MAX_LENGTH = 80  # characters of a text in a message
MAX_NORMALIZED_LENGTH = 300
MAX_READ_CHARACTERS = 4096  # of a text to normalize


class _Signs(NamedTuple):
    """What stands in place of a literal and of a number."""

    literal: str
    number: str


_IN_MESSAGES, _IN_NORMALIZED = _Signs("'...'", "..."), _Signs("?", "?")
_NO_TEXT = " "
_PARAMETER = re.compile(r"%s\b|%\(\w+\)s")
_VALUES = re.compile(r"\?(?:, ?\?)+")
_ROWS = re.compile(r"\((?:\?|\?, \.{3})\)(?:, ?\((?:\?|\?, \.{3})\))+")
_SELECTED = re.compile(r"^(SELECT (?:DISTINCT )?).{30,}?( FROM )", re.IGNORECASE)
_BLANKS = " \t\n\r\f\v"
_COMMENTS = ("--", "/*", "#")
_SHOWN = frozenset({"word", "mark", "operator"})


def masked(sql: str, vendor: str, *, max_length: int = MAX_LENGTH) -> str:
    r"""Return the beginning of the text in one line, with `'...'` for each literal and `...` for each number.

    The line has about `max_length` characters.

    >>> masked("UPDATE shop_user SET password = 'x' WHERE id = 7 -- by hand", "postgresql")
    "UPDATE shop_user SET password = '...' WHERE id = ..."
    >>> masked("DELETE FROM shop_user WHERE name = 'a\\' OR 'b'", "mysql")
    'DELETE [...] shop_user'
    """
    # The beginning identifies the statement. Values come later, and mostly as parameters.
    line = _without_literals(sql[: 4 * max_length], vendor, _IN_MESSAGES)
    return line if len(line) <= max_length else f"{line[:max_length]} [...]"


def normalized(sql: str, vendor: str) -> str:
    """Return one line for all statements that differ in values only: `?` for each literal, number and parameter.

    A long list of selected columns, and values after the first, are left out as well.

    >>> normalized("SELECT id, name, mail, born FROM shop_user WHERE id IN (%s, %s) AND name = 'x'", "postgresql")
    'SELECT id, name, mail, born FROM shop_user WHERE id IN (?, ...) AND name = ?'
    """
    return _normalized(sql[:MAX_READ_CHARACTERS], vendor)


@lru_cache(maxsize=256)
def _normalized(head: str, vendor: str) -> str:
    line = _without_literals(head, vendor, _IN_NORMALIZED)
    line = _ROWS.sub("(?, ...), ...", _VALUES.sub("?, ...", _PARAMETER.sub("?", line)))
    line = _SELECTED.sub(r"\1...\2", line)
    return line if len(line) <= MAX_NORMALIZED_LENGTH else f"{line[:MAX_NORMALIZED_LENGTH]} [...]"


def _without_literals(head: str, vendor: str, signs: _Signs) -> str:
    dialect = dialect_of(vendor)
    readings = readings_of(head, dialect)
    if readings is None:
        return signs.number
    statements = [classify_reading(head, dialect, reading) for reading in readings]
    # A name that only one reading takes for a table may be a part of a literal.
    tables = [table for table in statements[0].tables if all(table in each.tables for each in statements)]
    texts = {" ".join("".join(_parts(head, dialect, reading, tables, signs)).split()) for reading in readings}
    return texts.pop() if len(texts) == 1 else _shape(head, dialect, readings, tables)


def _parts(sql: str, dialect: str, reading: Reading, tables: Collection[str], signs: _Signs) -> Iterator[str]:
    match = pattern(dialect, reading.backslash_escapes, reading.ansi_quotes, in_bulk=False).match
    position, in_executed_comment, after_dot = 0, False, False
    while position < len(sql) and (found := match(sql, position)) is not None:
        text, kind, position = found[0], found.lastgroup, found.end()
        if kind in _SHOWN or (kind == "name" and (after_dot or _is_name(found[kind], dialect, tables))):
            yield text
        elif kind in OPENING_COMMENTS:
            end = end_of_skipped(sql, position, found[kind], reading)
            position, in_executed_comment = (position, True) if end is None else (end, in_executed_comment)
            yield _NO_TEXT
        elif kind == "code_end":
            if not in_executed_comment:
                position -= 1
            yield _NO_TEXT if in_executed_comment else "*"
            in_executed_comment = False
        else:
            yield _mask(text, signs)
        after_dot = text == "." and dialect == "sqlite"  # there a quoted text after a dot is no literal


def _mask(text: str, signs: _Signs) -> str:
    """Return the replacement of a comment, parameter, number or literal, with its blanks."""
    skipped = text.lstrip(_BLANKS)
    blanks = text[: len(text) - len(skipped)]
    if skipped.startswith("%("):
        return text
    if not skipped or skipped.startswith(_COMMENTS):
        return _NO_TEXT
    return blanks + (signs.number if skipped[0].isdigit() else signs.literal)


def _is_name(text: str, dialect: str, tables: Collection[str]) -> bool:
    """Return True if the quoted text is surely a name. MySQL and SQLite take "..." for a literal as well."""
    return dialect == "postgresql" or text[0] != '"' or lower(unquoted(text)) in tables


def _shape(sql: str, dialect: str, readings: tuple[Reading, ...], tables: Collection[str]) -> str:
    first = {next(tokens(sql, dialect, reading), END) for reading in readings}
    verb = first.pop().text if len(first) == 1 else ""
    verb = verb if verb in VERBS else ""
    return " ".join((verb, "[...]", ", ".join(tables))).strip()
