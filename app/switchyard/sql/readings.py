"""The ways in which servers may read one text: the mode of the session and the version of the server decide.

A backslash may end a literal or continue it, `"x"` is a name or a literal, and the inside of `/*!80000 ... */` is code
or a comment. Neither the mode nor the version is known here, so a text with such a place has several readings. The
classifier takes the strongest one.
"""

import re
from collections.abc import Iterator
from itertools import islice, product
from typing import NamedTuple

EXECUTED, SKIPPED, PLAIN = "executed", "skipped", "plain"

# The markers of comments that some servers execute: MySQL's and MariaDB's, and MariaDB's alone. Five or six digits are
# a version; other digits are code.
VERSION_COMMENT = r"/\*(?:!|M!)(?:[0-9]{5,6})?"
_MARKER = re.compile(VERSION_COMMENT)
# All supported servers execute the comments of older versions. MariaDB skips 50700 to 99999.
_ALWAYS_EXECUTED_BEFORE = 50700
_MAX_READINGS = 32


class Reading(NamedTuple):
    """One way to read a text."""

    backslash_escapes: bool = False  # in '...', and in "..." of MySQL
    ansi_quotes: bool = True  # "..." is a name
    comments: tuple[tuple[str, str], ...] = ()  # marker of a version comment -> EXECUTED, SKIPPED or PLAIN


_STANDARD = Reading()
# By dialect: the reading of a server with its default settings.
DEFAULT_READINGS = {
    "postgresql": _STANDARD,
    "mysql": Reading(backslash_escapes=True, ansi_quotes=False),
    "sqlite": _STANDARD,
}


def readings_of(sql: str, dialect: str) -> tuple[Reading, ...] | None:
    """Return the readings of the text; first the one of a server with its default settings.

    Return None if the text has more of them than anybody can expect to be understood.
    """
    if dialect == "sqlite" or ("\\" not in sql and (dialect == "postgresql" or not _is_ambiguous_on_mysql(sql))):
        return (DEFAULT_READINGS[dialect],)
    found = tuple(islice(_readings_of(sql, dialect), _MAX_READINGS + 1))
    return found if len(found) <= _MAX_READINGS else None


def _is_ambiguous_on_mysql(sql: str) -> bool:
    return '"' in sql or "/*!" in sql or "/*M!" in sql


def _readings_of(sql: str, dialect: str) -> Iterator[Reading]:
    default = DEFAULT_READINGS[dialect]
    escapes = (
        (default.backslash_escapes, not default.backslash_escapes) if "\\" in sql else (default.backslash_escapes,)
    )
    if dialect == "postgresql":
        yield from (Reading(backslash_escapes=each) for each in escapes)
        return
    quotes = (False, True) if '"' in sql else (False,)
    markers = {marker: _effects_of(marker) for marker in dict.fromkeys(_MARKER.findall(sql))}
    for effects in product(*markers.values()):
        comments = tuple(zip(markers, effects, strict=True))
        for escape, quote in product(escapes, quotes):
            yield Reading(escape, quote, comments)


def _effects_of(marker: str) -> tuple[str, ...]:
    """Return what servers may do with the comment. A comment that is skipped may hold another comment."""
    version = marker.partition("!")[2]
    if marker.startswith("/*M"):
        return (EXECUTED, SKIPPED, PLAIN) if version else (EXECUTED, PLAIN)
    return (EXECUTED, SKIPPED) if version and int(version) >= _ALWAYS_EXECUTED_BEFORE else (EXECUTED,)
