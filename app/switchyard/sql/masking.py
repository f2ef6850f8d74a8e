"""A SQL text for messages and logs: without its literals, numbers and comments, which may hold a password.

The text is read by the tokens of the vendor's own dialect. If two readings of the text disagree about a literal, the
message shows the shape alone: the verb and the tables.
"""

from collections.abc import Collection, Iterator

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

_LITERAL, _NUMBER, _NO_TEXT = "'...'", "...", " "
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
    head = sql[: 4 * max_length]
    dialect = dialect_of(vendor)
    readings = readings_of(head, dialect)
    if readings is None:
        return _NUMBER
    statements = [classify_reading(head, dialect, reading) for reading in readings]
    # A name that only one reading takes for a table may be a part of a literal.
    tables = [table for table in statements[0].tables if all(table in each.tables for each in statements)]
    texts = {" ".join("".join(_parts(head, dialect, reading, tables)).split()) for reading in readings}
    line = texts.pop() if len(texts) == 1 else _shape(head, dialect, readings, tables)
    return line if len(line) <= max_length else f"{line[:max_length]} [...]"


def _parts(sql: str, dialect: str, reading: Reading, tables: Collection[str]) -> Iterator[str]:
    match = pattern(dialect, reading.backslash_escapes, reading.ansi_quotes, in_bulk=False).match
    position, in_executed_comment = 0, False
    while position < len(sql) and (found := match(sql, position)) is not None:
        text, kind, position = found[0], found.lastgroup, found.end()
        if kind in _SHOWN or (kind == "name" and _is_name(found[kind], dialect, tables)):
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
            yield _mask(text)


def _mask(text: str) -> str:
    """Return the replacement of a comment, parameter, number or literal, with its blanks."""
    skipped = text.lstrip(_BLANKS)
    blanks = text[: len(text) - len(skipped)]
    if skipped.startswith("%("):
        return text
    if not skipped or skipped.startswith(_COMMENTS):
        return _NO_TEXT
    return blanks + (_NUMBER if skipped[0].isdigit() else _LITERAL)


def _is_name(text: str, dialect: str, tables: Collection[str]) -> bool:
    """Return True if the quoted text is surely a name. MySQL and SQLite take "..." for a literal as well."""
    return dialect == "postgresql" or text[0] != '"' or lower(unquoted(text)) in tables


def _shape(sql: str, dialect: str, readings: tuple[Reading, ...], tables: Collection[str]) -> str:
    first = {next(tokens(sql, dialect, reading), END) for reading in readings}
    verb = first.pop().text if len(first) == 1 else ""
    verb = verb if verb in VERBS else ""
    return " ".join((verb, "[...]", ", ".join(tables))).strip()
