"""Split a SQL text into words, names and marks, with one regular expression for each dialect.

Comments, literals, numbers and parameters are left out: none of them changes the operation of a statement.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

_COMMENT_MARK = re.compile(r"/\*|\*/")


class Token(NamedTuple):
    """A token: `word` (unquoted, upper case), `name` (quoted, as written), `mark` (punctuation, operators) or `end`."""

    kind: str
    text: str


END = Token("end", "")
_MARKS = frozenset({"mark", "operator"})


def tokens(sql: str, vendor: str) -> Iterator[Token]:
    """Yield the tokens of the text in the vendor's dialect. No text raises an error."""
    match, position, length = _pattern(vendor).match, 0, len(sql)
    in_executable_comment = False
    while position < length and (found := match(sql, position)) is not None:
        position = found.end()
        kind = found.lastgroup
        if kind == "word":
            yield Token(kind, found[kind].upper())
        elif kind == "name":
            yield Token(kind, _unquoted(found[kind]))
        elif kind in _MARKS:
            yield Token("mark", found[kind])
        elif kind == "nested":
            position = _end_of_comment(sql, position)
        elif kind == "code":
            in_executable_comment = True
        elif kind == "code_end":
            # Outside such a comment this is an asterisk, and the slash may open a comment: `SELECT */* all */ FROM t`.
            if not in_executable_comment:
                position -= 1
                yield Token("mark", "*")
            in_executable_comment = False
        elif kind == "rows":
            # Only parentheses that stay open, or that close earlier ones, matter for the rest of the text.
            between = re.sub(_CLOSED[_dialect(vendor)], "", found[kind], flags=re.DOTALL)
            opened = between.count("(") - between.count(")")
            yield from [Token("mark", "(" if opened > 0 else ")")] * abs(opened)


def _end_of_comment(sql: str, position: int) -> int:
    """Return the end of the comment that begins before `position`. PostgreSQL's comments nest."""
    depth = 1
    for mark in _COMMENT_MARK.finditer(sql, position):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(sql)


def _unquoted(name: str) -> str:
    closing = "]" if name[0] == "[" else name[0]
    inner = name[1:].removesuffix(closing)
    return inner.replace(closing * 2, closing)


# The servers' rule, not Python's: every character beyond ASCII belongs to a name, Unicode blanks too.
_LETTER, _REST = r"[A-Za-z_\x80-\U0010ffff]", r"[\w$\x80-\U0010ffff]"
# A literal or comment without an end reaches to the end of the text.
_STRING, _ESCAPED = r"'(?:[^']|'')*+(?:'|\Z)", r"'(?:[^'\\]|\\.|'')*+(?:'|\Z)"
_COMMENT = r"/\*.*?(?:\*/|\Z)"
# PostgreSQL continues a literal on the next line, with backslash escapes if the literal began with E.
_NEXT_LINE = r"(?:[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*+[\n\r])*+"
_DOLLARS = rf"(?P<tag>\$(?:{_LETTER}[\w\x80-\U0010ffff]*+)?\$).*?(?:(?P=tag)|\Z)"
# Match a whole list of values at once: a bulk insert has a hundred thousand values.
_CLOSED = dict.fromkeys(("postgresql", "sqlite"), r"'(?:[^']|'')*+'") | {"mysql": r"'(?:[^'\\]|\\.|'')*+'"}
_NUMBER = r"[0-9][0-9.]*+(?:[eE][-+]?[0-9]++)?+"
# A value ends at the end of a word: `5 %slower(x)` calls `slower`, not `lower`.
_VALUE = rf"(?:(?:%s|[-+]?{_NUMBER}|NULL)(?![\w$])|{{closed}})"
_SKIPPED = {
    "postgresql": (r"--[^\n\r]*", rf"[eE]{_ESCAPED}(?:{_NEXT_LINE}{_ESCAPED})*+", _STRING, _DOLLARS),
    "sqlite": (r"--[^\n]*", _STRING, _COMMENT),
    # `/*!` opens a comment that MySQL executes, so its text is read as code.
    "mysql": (
        *(r"--(?=[\x00-\x20\x7f]|\Z)[^\n]*", r"\#[^\n]*", r"(?P<code>/\*M?!\d*)", r"(?P<code_end>\*/)", _COMMENT),
        *(_ESCAPED, r'"(?:[^"\\]|\\.|"")*+(?:"|\Z)'),
    ),
}
_NAMES = {
    "postgresql": (r'"(?:[^"]|"")*+(?:"|\Z)',),
    "sqlite": (r'"(?:[^"]|"")*+(?:"|\Z)', r"`(?:[^`]|``)*+(?:`|\Z)", r"\[[^\]]*+(?:\]|\Z)"),
    "mysql": (r"`(?:[^`]|``)*+(?:`|\Z)",),
}
_WORD = {
    # The E of E'...' is no word: it opens a literal with backslash escapes.
    "postgresql": rf"(?![eE]'){_LETTER}{_REST}*+",
    "sqlite": rf"{_LETTER}{_REST}*+",
    # A name may begin with digits, unless they make a number, such as 0x1 or 1e5.
    "mysql": rf"(?!0[xXbB]|[0-9]++[eE][0-9])[0-9]*+(?:{_LETTER}|\$){_REST}*+",
}


def _dialect(vendor: str) -> str:
    # The text of any other vendor is read as PostgreSQL's.
    return vendor if vendor in _SKIPPED else "postgresql"


@cache
def _pattern(vendor: str) -> re.Pattern[str]:
    dialect = _dialect(vendor)
    value = _VALUE.format(closed=_CLOSED[dialect])
    values = rf"{value}(?P<rows>(?:[ \t\n\r\f\v,()]*+{value})++)"
    skipped = "|".join((values, r"%\(\w+\)s", *_SKIPPED[dialect], _NUMBER))
    # The dot of the number `.5` is not a mark.
    marks = rf"[(),;=]|\.(?!{_NUMBER}(?!{_REST}))"
    return re.compile(
        rf"(?a:\s*+)(?:(?P<word>{_WORD[dialect]})|(?P<mark>{marks})|(?P<name>{'|'.join(_NAMES[dialect])})"
        rf"|{skipped}|(?P<nested>/\*)|(?P<operator>::|[%:*+<>!|]+|.)|\Z)",
        re.DOTALL,
    )
