"""SQL as words, names and marks: comments, literals, numbers and parameters are left out. One pattern a dialect."""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

_COMMENT_MARK = re.compile(r"/\*|\*/")


class Token(NamedTuple):
    """A token: `word` (unquoted, upper case), `name` (quoted, as written), `mark` (one of `(),.;=`) or `end`."""

    kind: str
    text: str


END = Token("end", "")


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
        elif kind == "mark":
            yield Token(kind, found[kind])
        elif kind == "nested":
            position = _end_of_comment(sql, position)
        elif kind == "code":
            in_code = True
        elif kind == "code_end":
            # Elsewhere it is an asterisk, and the slash may open a comment: `SELECT */* all */ FROM t`.
            position = position if in_code else position - 1
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


# An unclosed literal or comment reaches to the end of the text.
_STRING, _ESCAPED = r"'(?:[^']|'')*+(?:'|\Z)", r"'(?:[^'\\]|\\.|'')*+(?:'|\Z)"
_COMMENT = r"/\*.*?(?:\*/|\Z)"
# A list of values at once, from the first to the last: a bulk insert has a hundred thousand.
_CLOSED = dict.fromkeys(("postgresql", "sqlite"), r"'(?:[^']|'')*+'") | {"mysql": r"'(?:[^'\\]|\\.|'')*+'"}
_VALUE = r"(?:%s|[-+]?\d[\w.]*+|NULL\b|{closed})"
_SKIPPED = {
    "postgresql": (r"--[^\n]*", f"[eE]{_ESCAPED}", _STRING, r"(?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?:(?P=tag)|\Z)"),
    "sqlite": (r"--[^\n]*", _STRING, _COMMENT),
    # `/*!` opens a comment that MySQL executes: its text is read like any other.
    "mysql": (
        *(r"--(?=\s|\Z)[^\n]*", r"\#[^\n]*", r"(?P<code>/\*M?!\d*)", r"(?P<code_end>\*/)", _COMMENT),
        *(_ESCAPED, r'"(?:[^"\\]|\\.|"")*+(?:"|\Z)'),
    ),
}
_NAMES = {
    "postgresql": (r'"(?:[^"]|"")*+(?:"|\Z)',),
    "sqlite": (r'"(?:[^"]|"")*+(?:"|\Z)', r"`(?:[^`]|``)*+(?:`|\Z)", r"\[[^\]]*\]"),
    "mysql": (r"`(?:[^`]|``)*+(?:`|\Z)",),
}
# Where E opens a literal with backslashes, it is no word.
_WORD = {"postgresql": r"(?![eE]')[^\W\d][\w$]*+", "sqlite": r"[^\W\d][\w$]*+", "mysql": r"[^\W\d][\w$]*+"}


def _dialect(vendor: str) -> str:
    # A vendor that is not in the tables is read as standard SQL.
    return vendor if vendor in _SKIPPED else "postgresql"


@cache
def _pattern(vendor: str) -> re.Pattern[str]:
    dialect = _dialect(vendor)
    value = _VALUE.format(closed=_CLOSED[dialect])
    values = rf"{value}(?P<rows>(?:[\s,()]*+{value})++)"
    skipped = "|".join((values, r"%\(\w+\)s", *_SKIPPED[dialect]))
    return re.compile(
        rf"\s*+(?:(?P<word>{_WORD[dialect]})|(?P<mark>[(),.;=])|(?P<name>{'|'.join(_NAMES[dialect])})"
        rf"|{skipped}|(?P<nested>/\*)|[\d%:*+<>!|]+|\w+|.|\Z)",
        re.DOTALL,
    )
