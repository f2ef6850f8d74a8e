"""What a SQL text does and which tables it names, without a database.

One pass over the tokens, no grammar. Where a text is not understood it errs towards `write`. Not seen from here:
what a view, an operator, a rule, a trigger or a function of the user's does behind a SELECT.
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, Literal, NamedTuple

from switchyard.routing.sql_tokens import END, Token, tokens
from switchyard.routing.sql_words import (
    AFTER_TABLES,
    BEFORE_TABLE,
    CHANGES,
    HARMLESS_PRAGMAS,
    PAIRS,
    SET_SCOPES,
    STRENGTH,
    VERBS,
    WRITING_FUNCTIONS,
    WRITING_PRAGMAS,
    Operation,
)

# Longer texts are classified each time, so that the cache holds at most 1,024 x 4,096 characters.
_CACHED_LENGTH = 4096


class Statement(NamedTuple):
    """A SQL text's class, the tables it names (lower case, without schema, in order) and whether it locks rows."""

    operation: Operation
    tables: tuple[str, ...]
    locks: bool


def classify(sql: str, vendor: str) -> Statement:
    """Classify a SQL text in the dialect of the vendor (`connection.vendor`); of several statements, the strongest."""
    return _remembered(sql, vendor) if len(sql) <= _CACHED_LENGTH else _read(sql, vendor)


def text_of(sql: Any, connection: Any) -> str:
    """Return the text of what was given to `execute()`: drivers also take bytes and composed objects."""
    if isinstance(sql, str):
        return sql
    if isinstance(sql, bytes):
        return sql.decode(errors="replace")
    compose = getattr(sql, "as_string", None)
    return str(sql) if compose is None else str(compose(connection.connection))


def _read(sql: str, vendor: str) -> Statement:
    readings = [_Reading()]
    for token, following in pairwise(chain(tokens(sql, vendor), (END,))):
        if token == _SEMICOLON:
            readings.append(_Reading())
        else:
            readings[-1].take(token, following)
    found = [reading for reading in readings if reading.verb]
    if not found:
        return Statement("other", (), locks=False)
    return Statement(
        max((reading.operation for reading in found), key=STRENGTH.__getitem__),
        tuple(dict.fromkeys(table for reading in found for table in reading.tables)),
        any(reading.locks for reading in found),
    )


_remembered = lru_cache(maxsize=1024)(_read)
_SEMICOLON, _OPEN, _DOT, _EQUALS = (Token("mark", text) for text in ";(.=")
_LOCKED = frozenset(Token("word", text) for text in ("UPDATE", "SHARE", "NO", "KEY"))
_EXPLAINS = frozenset({"EXPLAIN", "DESCRIBE", "DESC"})
_EXPLAINED_WRITES = frozenset({"CREATE", "EXECUTE", "REFRESH"})
_BEFORE_CTE = frozenset({"AS", "MATERIALIZED"})
_NOT_NAMES = frozenset({"AS", "NOT", "MATERIALIZED"})

# What may come next: a table or a query or a function's rows (`source`), a table alone (`target`), or no table.
type Expected = Literal["", "source", "target"]


class _Parenthesis:
    """What is known between two parentheses, or outside all of them."""

    __slots__ = ("defines", "expects", "lists", "name", "query")

    def __init__(self, *, query: bool = False, expects: Expected = "", defines: str = "") -> None:
        self.query = query  # FROM means tables here, and not `EXTRACT(DAY FROM at)`
        self.expects = expects
        self.lists = expects  # what to expect after a comma
        self.name = ""  # the last one, which may turn out to be a CTE's
        self.defines = defines  # the CTE whose query this is: its name is the CTE's from the end on


class _Reading:
    """One statement, as far as it was read."""

    def __init__(self) -> None:
        self.verb = self.second = self.previous = ""
        self.tables: list[str] = []
        self.queries: set[str] = set()  # names of CTEs: no tables
        self.locks = self.writes = self.analyzes = self.recursive = False
        self.scope: Operation = "other"
        self.direction = ""
        self._open = [_Parenthesis(query=True)]

    def take(self, token: Token, following: Token) -> None:
        """Take one token, knowing the next."""
        if token.kind == "mark":
            self._mark(token.text)
        elif token.kind == "word":
            self._word(token.text, following)
        else:
            # A text that begins with a quoted name is none that is known.
            self.verb = self.verb or '"'
            self._name(token.text, following)
        self.previous = token.text if token.kind != "name" else '"'

    @property
    def depth(self) -> int:
        """How many parentheses are open."""
        return len(self._open) - 1

    @property
    def operation(self) -> Operation:
        if (pair := PAIRS.get((self.verb, self.second))) is not None:
            return pair
        judge = _JUDGES.get(self.verb)
        operation = VERBS.get(self.verb, "write") if judge is None else judge(self)
        return "write" if operation == "read" and self.writes and self.verb not in _EXPLAINS else operation

    def _mark(self, mark: str) -> None:
        inside = self._open[-1]
        if mark == "(":
            defines = inside.name if self.previous in _BEFORE_CTE else ""
            if self.recursive:
                self.queries.add(defines)
            expects: Expected = "source" if inside.expects == "source" else ""
            self._open.append(_Parenthesis(query=not self.verb, expects=expects, defines=defines))
            inside.expects = ""
        elif mark == ")" and len(self._open) > 1:
            self.queries.add(self._open.pop().defines)
        elif mark == ",":
            inside.expects = inside.lists

    def _word(self, word: str, following: Token) -> None:
        inside = self._open[-1]
        if not self.verb:
            self.verb = word
        elif not self.second:
            self.second = word
        if word in CHANGES and following != _OPEN and self._at_verb():
            inside.query = self.writes = True
        if self.verb in _CLAUSES_OF:
            _CLAUSES_OF[self.verb](self, word, following)
        if (clause := _CLAUSES.get(word)) is not None:
            clause(self, inside, following)
        elif word in AFTER_TABLES:
            inside.query = inside.query or word == "SELECT"
            inside.expects = inside.lists = ""
        elif word not in BEFORE_TABLE or not inside.expects:
            self._name(word, following)

    def _name(self, name: str, following: Token) -> None:
        inside = self._open[-1]
        if following == _OPEN:
            self.writes = self.writes or name.upper() in WRITING_FUNCTIONS
        if following == _DOT:
            return
        if inside.expects and not (inside.expects == "source" and following == _OPEN) and not self._is_query(name):
            self.tables.append(name.lower())
        inside.expects = ""
        if name not in _NOT_NAMES:
            inside.name = name.lower()

    def _is_query(self, name: str) -> bool:
        """Tell whether the name stands for a CTE here; with a schema before it, it is a table's."""
        return name.lower() in self.queries and self.previous != "."

    def _at_verb(self) -> bool:
        """Tell whether a verb may stand here: at the start, in a CTE, after the last CTE, after EXPLAIN."""
        after_cte = self.verb == "WITH" and self.previous == ")"
        return self.previous in {"", "("} or after_cte or self.verb in _EXPLAINS


def _from(reading: _Reading, inside: _Parenthesis, _following: Token) -> None:
    if inside.query and reading.previous != "DISTINCT" and (reading.verb != "COPY" or reading.depth):
        inside.expects = inside.lists = "source"


def _join(_reading: _Reading, inside: _Parenthesis, _following: Token) -> None:
    inside.expects = "source"


def _into(reading: _Reading, inside: _Parenthesis, _following: Token) -> None:
    reading.writes = True
    inside.expects, inside.lists = "target", ""


def _target(_reading: _Reading, inside: _Parenthesis, _following: Token) -> None:
    inside.expects = "target"


def _update(reading: _Reading, inside: _Parenthesis, _following: Token) -> None:
    inside.expects = inside.lists = "target" if inside.query and reading.previous in {"", "(", ")"} else ""


def _using(reading: _Reading, inside: _Parenthesis, following: Token) -> None:
    if reading.writes and following != _OPEN:
        inside.expects = inside.lists = "source"


def _recursive(reading: _Reading, _inside: _Parenthesis, _following: Token) -> None:
    reading.recursive = True


def _insert(reading: _Reading, inside: _Parenthesis, following: Token) -> None:
    # MySQL may leave INTO out.
    if inside.query and following != _OPEN and reading.previous in {"", "(", ")"}:
        inside.expects, inside.lists = "target", ""


def _truncate(_reading: _Reading, inside: _Parenthesis, _following: Token) -> None:
    inside.expects = inside.lists = "target"


def _on(_reading: _Reading, inside: _Parenthesis, _following: Token) -> None:
    inside.expects = ""


def _for(reading: _Reading, inside: _Parenthesis, following: Token) -> None:
    reading.locks = reading.locks or following in _LOCKED
    inside.expects = inside.lists = ""


def _lock(reading: _Reading, inside: _Parenthesis, following: Token) -> None:
    reading.locks = reading.locks or reading.verb == "LOCK" or following == Token("word", "IN")
    inside.expects = inside.lists = "target" if reading.verb == "LOCK" else ""


_CLAUSES: dict[str, Callable[[_Reading, _Parenthesis, Token], None]] = {
    "FROM": _from,
    "JOIN": _join,
    "STRAIGHT_JOIN": _join,
    "INTO": _into,
    "TABLE": _target,
    "COPY": _target,
    "REFERENCES": _target,
    "RECURSIVE": _recursive,
    "INSERT": _insert,
    "REPLACE": _insert,
    "UPDATE": _update,
    "USING": _using,
    "TRUNCATE": _truncate,
    "ON": _on,
    "FOR": _for,
    "LOCK": _lock,
}


def _of_set(reading: _Reading, word: str, _following: Token) -> None:
    reading.scope = max(reading.scope, SET_SCOPES.get(word, "other"), key=STRENGTH.__getitem__)


def _of_copy(reading: _Reading, word: str, following: Token) -> None:
    if word in {"FROM", "TO"} and not reading.direction and not reading.depth:
        reading.direction = f"{word} {following.text}"


def _of_explain(reading: _Reading, word: str, _following: Token) -> None:
    reading.analyzes = reading.analyzes or word in {"ANALYZE", "ANALYSE"}
    reading.writes = reading.writes or word in _EXPLAINED_WRITES


def _of_pragma(reading: _Reading, word: str, following: Token) -> None:
    argued = following in {_OPEN, _EQUALS} and word not in HARMLESS_PRAGMAS
    reading.writes = reading.writes or argued or word in WRITING_PRAGMAS


_CLAUSES_OF: dict[str, Callable[[_Reading, str, Token], None]] = {
    "SET": _of_set,
    "COPY": _of_copy,
    "PRAGMA": _of_pragma,
    **dict.fromkeys(_EXPLAINS, _of_explain),
}
_JUDGES: dict[str, Callable[[_Reading], Operation]] = {
    "SET": lambda reading: "write" if reading.writes else reading.scope,
    # To a file or a program it writes, on the server.
    "COPY": lambda reading: "read" if reading.direction == "TO STDOUT" else "write",
    "PRAGMA": lambda reading: "write" if reading.writes else "other",
    **dict.fromkeys(_EXPLAINS, lambda reading: "write" if reading.analyzes and reading.writes else "read"),
}
