"""Find the parts of a SQL text that begin or end a transaction, or make a session or transaction writable.

The classification in `classifier.py` does not tell them: a text with COMMIT and SELECT is a read.
"""

import re
from collections.abc import Iterator
from itertools import chain, pairwise
from typing import NamedTuple

from switchyard.sql.keywords import TRANSACTION_VERBS
from switchyard.sql.readings import Reading, readings_of
from switchyard.sql.tokenizer import Token, dialect_of, tokens

_SEMICOLON = Token("mark", ";")
_SETTERS = frozenset({"SET", "RESET", "PRAGMA", "BEGIN", "START"})
# The access mode as a variable: PostgreSQL's, MySQL's, MariaDB's and SQLite's.
_MODES = frozenset({"TRANSACTION_READ_ONLY", "DEFAULT_TRANSACTION_READ_ONLY", "TX_READ_ONLY", "QUERY_ONLY"})
# One statement that makes the variable true, or a PRAGMA that only reads it.
_HARMLESS = re.compile(
    rf"\s*(?:SET|PRAGMA)\s+(?:SESSION\s+|LOCAL\s+|@@(?:SESSION\.)?)?(?:{'|'.join(_MODES)})\s*"
    r"(?:=|\bTO\b)\s*'?(?:ON|TRUE|YES|1)'?\s*;?\s*|\s*PRAGMA\s+QUERY_ONLY\s*;?\s*",
    re.IGNORECASE,
)


class TransactionControl(NamedTuple):
    """What a text does to transactions."""

    statements: int
    has_boundary: bool  # a statement begins or ends a transaction; savepoints do neither
    makes_writable: bool  # a statement gives the access mode READ WRITE to the session or to a transaction


_UNREADABLE = TransactionControl(2, has_boundary=True, makes_writable=True)


def transaction_control(sql: str, vendor: str) -> TransactionControl:
    """Return what the text does to transactions, in the dialect of the vendor as `classify()` knows it.

    If the text has several readings, each of them counts; a text that is not understood may do everything.

    >>> transaction_control("COMMIT; SELECT tidy_up()", "postgresql")
    TransactionControl(statements=2, has_boundary=True, makes_writable=False)
    >>> transaction_control("SET TRANSACTION READ WRITE", "mysql")
    TransactionControl(statements=1, has_boundary=False, makes_writable=True)
    """
    dialect = dialect_of(vendor)
    readings = readings_of(sql, dialect)
    if readings is None:
        return _UNREADABLE
    texts = [list(_statements(sql, dialect, reading)) for reading in readings]
    statements = list(chain.from_iterable(texts))
    makes_writable = any(map(_makes_writable, statements)) and _HARMLESS.fullmatch(sql) is None
    return TransactionControl(max(map(len, texts)), any(map(_is_boundary, statements)), makes_writable)


def _statements(sql: str, dialect: str, reading: Reading) -> Iterator[tuple[str, ...]]:
    """Yield the words of each statement, in upper case and without quotes."""
    words: list[str] = []
    for token in tokens(sql, dialect, reading):
        if token != _SEMICOLON:
            words += [token.text.upper()] if token.kind != "mark" else []
        elif words:
            yield tuple(words)
            words = []
    if words:
        yield tuple(words)


def _is_boundary(words: tuple[str, ...]) -> bool:
    if words[0] == "SET":
        return "AUTOCOMMIT" in words
    if words[0] == "ROLLBACK":
        return "TO" not in words
    return words[0] in TRANSACTION_VERBS or words[:2] == ("PREPARE", "TRANSACTION")


def _makes_writable(words: tuple[str, ...]) -> bool:
    if words[0] not in _SETTERS:
        return False
    return not _MODES.isdisjoint(words) or ("READ", "WRITE") in pairwise(words)
