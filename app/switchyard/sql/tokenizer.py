"""Split a SQL text into words, names and marks, with one regular expression for each dialect and reading.

Comments, literals, numbers and parameters are left out: none of them changes the operation of a statement. The parts
of a text with their kinds, for a message that hides the literals, come from `masking.py`.
"""

import re
import string
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from switchyard.sql.readings import EXECUTED, SKIPPED, VERSION_COMMENT, Reading

_COMMENT_MARK = re.compile(r"/\*|\*/")
_TO_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_TO_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class Token(NamedTuple):
    """A token: `word` (unquoted, upper case), `name` (quoted, as written), `mark` (punctuation, operators) or `end`."""

    kind: str
    text: str


END = Token("end", "")
_MARKS = frozenset({"mark", "operator"})
OPENING_COMMENTS = frozenset({"nested", "code"})


def dialect_of(vendor: str) -> str:
    """Return the dialect of the vendor: the text of an unknown vendor is read as PostgreSQL's."""
    return vendor if vendor in _SKIPPED else "postgresql"


def lower(name: str) -> str:
    """Return the name in lower case, by the rule of the servers: only ASCII letters have two cases."""
    return name.lower() if name.isascii() else name.translate(_TO_LOWER)


def upper(word: str) -> str:
    """Return the word in upper case, as `lower()`."""
    return word.upper() if word.isascii() else word.translate(_TO_UPPER)


def tokens(sql: str, dialect: str, reading: Reading) -> Iterator[Token]:
    """Yield the tokens of the text in the dialect. No text raises an error."""
    match, position, length = pattern(dialect, reading.backslash_escapes, reading.ansi_quotes).match, 0, len(sql)
    in_executed_comment = False
    while position < length and (found := match(sql, position)) is not None:
        position = found.end()
        kind = found.lastgroup
        if kind == "word":
            yield Token(kind, upper(found[kind]))
        elif kind == "name":
            yield Token(kind, unquoted(found[kind]))
        elif kind in _MARKS:
            yield Token("mark", found[kind])
        elif kind in OPENING_COMMENTS:
            if (end := end_of_skipped(sql, position, found[kind], reading)) is None:
                in_executed_comment = True
            else:
                position = end
        elif kind == "code_end":
            # Outside such a comment this is an asterisk, and the slash may open a comment: `SELECT */* all */ FROM t`.
            if not in_executed_comment:
                position -= 1
                yield Token("mark", "*")
            in_executed_comment = False
        elif kind == "rows":
            yield from _open_parentheses(found[kind], reading)


def _open_parentheses(rows: str, reading: Reading) -> list[Token]:
    """Return the parentheses of a list of values that stay open, or that close earlier ones."""
    between = re.sub(_closed(reading.backslash_escapes), "", rows, flags=re.DOTALL)
    opened = between.count("(") - between.count(")")
    return [Token("mark", "(" if opened > 0 else ")")] * abs(opened)


def _end_of_comment(sql: str, position: int, max_depth: int | None = None) -> int:
    """Return the end of the comment that begins before `position`; a limit to its depth is MySQL's."""
    depth = 1
    for mark in _COMMENT_MARK.finditer(sql, position):
        if mark[0] == "*/":
            depth -= 1
        elif max_depth is None or depth < max_depth:
            depth += 1
        if depth == 0:
            return mark.end()
    return len(sql)


def end_of_skipped(sql: str, position: int, marker: str, reading: Reading) -> int | None:
    """Return the end of the comment whose marker ends at `position`; None if this reading executes the comment."""
    if marker == "/*":  # PostgreSQL's comments nest without a limit
        return _end_of_comment(sql, position)
    effect = dict(reading.comments).get(marker, EXECUTED)
    return None if effect == EXECUTED else _end_of_comment(sql, position, 2 if effect == SKIPPED else 1)


def unquoted(name: str) -> str:
    """Return the name without its quotes. A name with Unicode escapes (`U&"..."`) stays as it is written."""
    if name[0] in "uU":
        return name
    closing = "]" if name[0] == "[" else name[0]
    inner = name[1:].removesuffix(closing)
    return inner.replace(closing * 2, closing)


# The servers' rule, not Python's: every character beyond ASCII belongs to a name, Unicode blanks too.
_LETTER, _REST = r"[A-Za-z_\x80-\U0010ffff]", r"[\w$\x80-\U0010ffff]"
# A literal or comment without an end reaches to the end of the text.
_STRING, _ESCAPED = r"'(?:[^']|'')*+(?:'|\Z)", r"'(?:[^'\\]|\\.|'')*+(?:'|\Z)"
_QUOTED, _QUOTED_ESCAPED = r'"(?:[^"]|"")*+(?:"|\Z)', r'"(?:[^"\\]|\\.|"")*+(?:"|\Z)'
_BACKTICKED = r"`(?:[^`]|``)*+(?:`|\Z)"
_COMMENT = r"/\*.*?(?:\*/|\Z)"
# PostgreSQL continues a literal on the next line, with backslash escapes if the literal began with E.
_NEXT_LINE = r"(?:[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*+[\n\r])*+"
_DOLLARS = rf"(?P<tag>\$(?:{_LETTER}[\w\x80-\U0010ffff]*+)?\$).*?(?:(?P=tag)|\Z)"
NUMBER = (
    rf"(?:0(?:[xX][0-9a-fA-F_]++|[oO][0-7_]++|[bB][01_]++)(?!{_REST})"
    r"|[0-9][0-9._]*+(?:[eE][-+]?[0-9]++)?+)"
)
# A value ends at the end of a word: `5 %slower(x)` calls `slower`, not `lower`.
_VALUE = rf"(?:(?:%s|[-+]?{NUMBER}|NULL)(?![\w$])|{{closed}})"
# `/*!` opens a comment that MySQL may execute.
_MYSQL_COMMENTS = (
    *(r"--(?=[\x00-\x20\x7f]|\Z)[^\n]*", r"\#[^\n]*", rf"(?P<code>{VERSION_COMMENT})", r"(?P<code_end>\*/)", _COMMENT),
)
_SKIPPED = {
    "postgresql": (r"--[^\n\r]*", rf"[eE]{_ESCAPED}(?:{_NEXT_LINE}{_ESCAPED})*+", _DOLLARS),
    "sqlite": (r"--[^\n]*", _COMMENT),
    "mysql": _MYSQL_COMMENTS,
}
_NAMES = {
    "postgresql": (rf"(?:[uU]&)?{_QUOTED}",),
    "sqlite": (_QUOTED, _BACKTICKED, r"\[[^\]]*+(?:\]|\Z)"),
    "mysql": (_BACKTICKED,),
}
_WORD = {
    # The E of E'...' is no word: it opens a literal with backslash escapes. U&"..." is a name.
    "postgresql": rf"(?![eE]'|[uU]&\"){_LETTER}{_REST}*+",
    "sqlite": rf"{_LETTER}{_REST}*+",
    # A name may begin with digits, unless they make a number, such as 0x1 or 1e5; after a dot they never do.
    "mysql": rf"(?:(?<=[\w$`\x80-\U0010ffff]\.){_REST}++|(?!0[xXbB]|[0-9]++[eE][0-9])[0-9]*+(?:{_LETTER}|\$){_REST}*+)",
}


def _closed(backslash_escapes: bool) -> str:
    """Return the pattern of a whole literal, of which a bulk insert has a hundred thousand."""
    return r"'(?:[^'\\]|\\.|'')*+'" if backslash_escapes else r"'(?:[^']|'')*+'"


@cache
def pattern(dialect: str, backslash_escapes: bool, ansi_quotes: bool, *, in_bulk: bool = True) -> re.Pattern[str]:
    """Return the pattern of the next token, comment or literal. `in_bulk` skips a whole list of values at once."""
    literals = [_ESCAPED if backslash_escapes else _STRING]
    names = list(_NAMES[dialect])
    if dialect == "mysql":
        # As a name, "..." has no escapes.
        (names if ansi_quotes else literals).append(
            _QUOTED_ESCAPED if backslash_escapes and not ansi_quotes else _QUOTED
        )
    value = _VALUE.format(closed=_closed(backslash_escapes))
    values = (rf"{value}(?P<rows>(?:[ \t\n\r\f\v,()]*+{value})++)",) if in_bulk else ()
    skipped = "|".join((*values, r"%\(\w+\)s", *_SKIPPED[dialect], *literals, NUMBER))
    # The dot of the number `.5` is not a mark.
    marks = rf"[(),;=]|\.(?!{NUMBER}(?!{_REST}))"
    return re.compile(
        rf"(?a:\s*+)(?:(?P<word>{_WORD[dialect]})|(?P<mark>{marks})|(?P<name>{'|'.join(names)})"
        rf"|{skipped}|(?P<nested>/\*)|(?P<operator>::|[%:*+<>!|]+|.)|\Z)",
        re.DOTALL,
    )
