"""SQL as words, names and marks: comments, literals, numbers and parameters are left out. One pattern a dialect."""

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
    """Yield the text's tokens in the vendor's dialect. Total: what is no SQL yields something, too."""
    match, position, length = _pattern(vendor).match, 0, len(sql)
    in_code = False  # between the marks of a comment that MySQL executes
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
            in_code = True
        elif kind == "code_end":
            # Elsewhere it is an asterisk, and the slash may open a comment: `SELECT */* all */ FROM t`.
            if not in_code:
                position -= 1
                yield Token("mark", "*")
            in_code = False
        elif kind == "rows":
            # Only what is left open or closed in between says something about what follows.
            between = re.sub(_CLOSED[_dialect(vendor)], "", found[kind], flags=re.DOTALL)
            opened = between.count("(") - between.count(")")
            yield from [Token("mark", "(" if opened > 0 else ")")] * abs(opened)


def _end_of_comment(sql: str, position: int) -> int:
    """Return where the comment ends that was opened before `position`: PostgreSQL's comments nest."""
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


# As the servers see it, not Python: every character beyond ASCII belongs to a name, a blank of Unicode's, too.
_LETTER, _REST = r"[A-Za-z_\x80-\U0010ffff]", r"[\w$\x80-\U0010ffff]"
# An unclosed literal or comment reaches to the end of the text.
_STRING, _ESCAPED = r"'(?:[^']|'')*+(?:'|\Z)", r"'(?:[^'\\]|\\.|'')*+(?:'|\Z)"
_COMMENT = r"/\*.*?(?:\*/|\Z)"
# PostgreSQL goes on with a literal after a line's end, with backslashes if it began with them.
_NEXT_LINE = r"(?:[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*+[\n\r])*+"
_DOLLARS = rf"(?P<tag>\$(?:{_LETTER}[\w\x80-\U0010ffff]*+)?\$).*?(?:(?P=tag)|\Z)"
# A list of values at once, from the first to the last: a bulk insert has a hundred thousand.
_CLOSED = dict.fromkeys(("postgresql", "sqlite"), r"'(?:[^']|'')*+'") | {"mysql": r"'(?:[^'\\]|\\.|'')*+'"}
_NUMBER = r"[0-9][0-9.]*+(?:[eE][-+]?[0-9]++)?+"
# What is left of a longer name would be another name: `5 %slower(x)`.
_VALUE = rf"(?:(?:%s|[-+]?{_NUMBER}|NULL)(?![\w$])|{{closed}})"
_SKIPPED = {
    "postgresql": (r"--[^\n\r]*", rf"[eE]{_ESCAPED}(?:{_NEXT_LINE}{_ESCAPED})*+", _STRING, _DOLLARS),
    "sqlite": (r"--[^\n]*", _STRING, _COMMENT),
    # `/*!` opens a comment that MySQL executes: its text is read like any other.
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
    # Where E opens a literal with backslashes, it is no word.
    "postgresql": rf"(?![eE]'){_LETTER}{_REST}*+",
    "sqlite": rf"{_LETTER}{_REST}*+",
    # A name may begin with digits, unless that makes a number.
    "mysql": rf"(?!0[xXbB]|[0-9]++[eE][0-9])[0-9]*+(?:{_LETTER}|\$){_REST}*+",
}


def _dialect(vendor: str) -> str:
    # A vendor that is not in the tables is read as standard SQL.
    return vendor if vendor in _SKIPPED else "postgresql"


@cache
def _pattern(vendor: str) -> re.Pattern[str]:
    dialect = _dialect(vendor)
    value = _VALUE.format(closed=_CLOSED[dialect])
    values = rf"{value}(?P<rows>(?:[ \t\n\r\f\v,()]*+{value})++)"
    skipped = "|".join((values, r"%\(\w+\)s", *_SKIPPED[dialect], _NUMBER))
    # The dot of `.5` is none.
    marks = rf"[(),;=]|\.(?!{_NUMBER}(?!{_REST}))"
    return re.compile(
        rf"(?a:\s*+)(?:(?P<word>{_WORD[dialect]})|(?P<mark>{marks})|(?P<name>{'|'.join(_NAMES[dialect])})"
        rf"|{skipped}|(?P<nested>/\*)|(?P<operator>::|[%:*+<>!|]+|.)|\Z)",
        re.DOTALL,
    )
