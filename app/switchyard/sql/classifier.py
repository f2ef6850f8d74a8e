"""What a SQL text does, which tables it names and which functions it calls, without a database.

One pass over the tokens, no grammar. Where a text is not understood it errs towards `write`. Literals are read as the
server's own defaults have them (`standard_conforming_strings`, no ANSI_QUOTES).

Not seen from here: what a view, an operator, a cast, a rule, a policy or a trigger does behind a SELECT, a function
that PostgreSQL lets be written as a column (`row.function`), and what a FETCH runs: that is the DECLARE's.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, Literal, NamedTuple

from switchyard.sql.function_names import READ_ONLY_FUNCTIONS, SYNTAX, SYNTAX_AFTER, WRITING_FUNCTIONS
from switchyard.sql.keywords import (
    AFTER_TABLES,
    BEFORE_TABLE,
    CHANGES,
    PAIRS,
    READ_ONLY_PRAGMAS,
    SET_SCOPES,
    STRENGTH,
    VERBS,
    WRITING_PRAGMAS,
    Operation,
)
from switchyard.sql.tokenizer import END, Token, tokens

# Longer texts are classified each time, so that the cache holds at most 1,024 x 4,096 characters.
_CACHED_LENGTH = 4096


class Statement(NamedTuple):
    """A SQL text's class, the tables it names (lower case, without schema, in order) and whether it locks rows.

    `calls` are the functions that a text which writes nothing by itself calls and that are not known to be harmless,
    named as the tables are. `changes` says whether the server may write; None: that is up to these functions.
    """

    operation: Operation
    tables: tuple[str, ...]
    locks: bool
    calls: tuple[str, ...] = ()
    changes: bool | None = False


def classify(sql: str, vendor: str) -> Statement:
    """Classify a SQL text in the dialect of the vendor (`connection.vendor`); of several statements, the strongest."""
    return _remembered(sql, vendor) if len(sql) <= _CACHED_LENGTH else _read(sql, vendor)


def statement_text(sql: Any, connection: Any) -> str:
    """Return the text of what was given to `execute()`: drivers also take bytes and composed objects."""
    if isinstance(sql, str):
        return sql
    if isinstance(sql, bytes):
        return sql.decode(errors="replace")
    compose = getattr(sql, "as_string", None)
    return str(sql) if compose is None else str(compose(connection.connection))


def _read(sql: str, vendor: str) -> Statement:
    readings = [_Reading(vendor)]
    for token, following in pairwise(chain(tokens(sql, vendor), (END,))):
        if token != _SEMICOLON:
            readings[-1].take(token, following)
        elif readings[-1].verb:
            readings.append(_Reading(vendor))
        else:
            readings[-1] = _Reading(vendor)
    found = [reading for reading in readings if reading.verb]
    operations = (reading.operation for reading in found)
    operation: Operation = max(operations, key=STRENGTH.__getitem__, default="other")
    tables = tuple(dict.fromkeys(table for reading in found for table in reading.tables))
    locks = any(reading.locks for reading in found)
    if operation in _WRITES:
        return Statement(operation, tables, locks, changes=True)
    calls = tuple(dict.fromkeys(call for reading in found for call in reading.calls))
    # PostgreSQL logs a lock of rows, and an exclusive one of a table, under a transaction's id: it counts as written.
    # What MySQL executes of its comments depends on the server's version.
    changes = (locks and vendor == "postgresql") or (vendor == "mysql" and _EXECUTED.search(sql) is not None)
    return Statement(operation, tables, locks, calls, changes or (None if calls else False))


_remembered = lru_cache(maxsize=1024)(_read)
_SEMICOLON, _OPEN, _DOT, _EQUALS = (Token("mark", text) for text in ";(.=")
_EXECUTED = re.compile(r"/\*M?!")
_WRITES = frozenset({"write", "ddl"})
_LOCKED = frozenset(Token("word", text) for text in ("UPDATE", "SHARE", "NO", "KEY"))
_EXPLAINS = frozenset({"EXPLAIN", "DESCRIBE", "DESC"})
_FOR = Token("word", "FOR")
_OFF = frozenset(Token("word", text) for text in ("FALSE", "OFF"))
_EXPLAINED_WRITES = frozenset({"CREATE", "EXECUTE", "REFRESH"})
_BEFORE_CTE = frozenset({"AS", "MATERIALIZED"})
_NOT_NAMES = frozenset({"AS", "NOT", "MATERIALIZED"})
# A WITH after one of these opens a list of CTEs; elsewhere it may be `timestamp with time zone`.
_BEFORE_WITH = frozenset({"", "(", "EXPLAIN", "ANALYZE"})
_AFTER_WITH = frozenset({"SELECT", "VALUES", "TABLE"}) | CHANGES

# What may come next: a table or a query or a function's rows (`source`), a table alone (`target`), or no table.
type Expected = Literal["", "source", "target"]


class _Parenthesis:
    """What is known between two parentheses, or outside all of them."""

    __slots__ = ("ctes", "defines", "expects", "lists", "name", "query")

    def __init__(self, *, query: bool = False, expects: Expected = "", defines: str = "") -> None:
        self.query = query  # FROM means tables here, and not `EXTRACT(DAY FROM at)`
        self.expects = expects
        self.lists = expects  # what to expect after a comma
        self.name = ""  # the last one, which may turn out to be a CTE's
        self.ctes = False  # inside the list of them, where `name (` begins a list of columns
        self.defines = defines  # the CTE whose query this is: its name is the CTE's from the end on


class _Reading:
    """One statement, as far as it was read."""

    def __init__(self, vendor: str) -> None:
        self._vendor = vendor if vendor in READ_ONLY_FUNCTIONS else "postgresql"
        self.verb = self.second = self.previous = ""
        self.schema = ""  # what stands before the dot before this name
        self.tables: list[str] = []
        self.calls: list[str] = []
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
            if following == _OPEN:
                self._call(token.text, quoted=True)
            self._name(token.text, following)
        if token.kind != "mark":
            self.schema = token.text.lower() if following == _DOT else ""
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
            # After the last CTE's query this opens the main one.
            inside.ctes = inside.ctes and self.previous != ")"
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
        else:
            self.second = self.second or word
            if following == _OPEN:
                self._call(word, quoted=False)
        inside.ctes = (inside.ctes and word not in _AFTER_WITH) or (word == "WITH" and self.previous in _BEFORE_WITH)
        if word in CHANGES and following != _OPEN and self._at_verb():
            inside.query = self.writes = True
        # MariaDB's `NEXT VALUE FOR sequence`
        self.writes = self.writes or (word, self.previous, following) == ("VALUE", "NEXT", _FOR)
        if self.verb in _CLAUSES_OF:
            _CLAUSES_OF[self.verb](self, word, following)
        if (clause := _CLAUSES.get(word)) is not None:
            clause(self, inside, following)
        elif word in AFTER_TABLES:
            inside.query = inside.query or word == "SELECT"
            inside.expects = inside.lists = ""
        elif not inside.expects or not (word in BEFORE_TABLE or (self.verb == "LOCK" and word == "TABLES")):
            self._name(word, following)

    def _name(self, name: str, following: Token) -> None:
        inside = self._open[-1]
        if following == _DOT:
            return
        if inside.expects and not (inside.expects == "source" and following == _OPEN) and not self._is_query(name):
            self.tables.append(name.lower())
        inside.expects = ""
        if name not in _NOT_NAMES:
            inside.name = name.lower()

    def _call(self, name: str, *, quoted: bool) -> None:
        """Note the function, unless it is none or is known to be harmless."""
        inside = self._open[-1]
        if self._lists_columns(inside):
            return
        lower = name.lower()
        foreign = self.previous == "." and self.schema not in {"", "pg_catalog"}
        if lower in WRITING_FUNCTIONS:
            self.writes = True
        elif foreign or not (self._is_harmless(name, quoted) or (not quoted and self._is_syntax(name))):
            self.calls.append(lower)

    def _lists_columns(self, inside: _Parenthesis) -> bool:
        """Tell whether `name (` begins a list of columns, a type's length or options, and no call."""
        of_target = inside.expects == "target" and (self.writes or self.verb == "COPY")
        return self.previous in {"AS", "::"} or inside.ctes or of_target or self.verb == "PRAGMA"

    def _is_harmless(self, name: str, quoted: bool) -> bool:
        # PostgreSQL alone tells "LOWER" from lower.
        exact = name if quoted and self._vendor == "postgresql" else name.lower()
        return exact in READ_ONLY_FUNCTIONS[self._vendor]

    def _is_syntax(self, word: str) -> bool:
        return word in SYNTAX[self._vendor] or self.previous in SYNTAX_AFTER.get(word, ())

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


def _copy(reading: _Reading, inside: _Parenthesis, _following: Token) -> None:
    if not reading.previous:
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
    "COPY": _copy,
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


def _of_explain(reading: _Reading, word: str, following: Token) -> None:
    reading.analyzes = reading.analyzes or (word in {"ANALYZE", "ANALYSE"} and following not in _OFF)
    reading.writes = reading.writes or word in _EXPLAINED_WRITES


def _of_pragma(reading: _Reading, word: str, following: Token) -> None:
    argued = following in {_OPEN, _EQUALS} and word not in READ_ONLY_PRAGMAS
    reading.writes = reading.writes or argued or word in WRITING_PRAGMAS


def _of_begin(reading: _Reading, word: str, _following: Token) -> None:
    # MariaDB's `BEGIN NOT ATOMIC` holds whatever may stand in a procedure.
    reading.writes = reading.writes or word == "ATOMIC"


_CLAUSES_OF: dict[str, Callable[[_Reading, str, Token], None]] = {
    "SET": _of_set,
    "COPY": _of_copy,
    "PRAGMA": _of_pragma,
    "BEGIN": _of_begin,
    **dict.fromkeys(_EXPLAINS, _of_explain),
}
_JUDGES: dict[str, Callable[[_Reading], Operation]] = {
    "SET": lambda reading: "write" if reading.writes else reading.scope,
    # To a file or a program it writes, on the server.
    "COPY": lambda reading: "read" if reading.direction == "TO STDOUT" else "write",
    "PRAGMA": lambda reading: "write" if reading.writes else "other",
    "BEGIN": lambda reading: "write" if reading.writes else "tx",
    **dict.fromkeys(_EXPLAINS, lambda reading: "write" if reading.analyzes and reading.writes else "read"),
}
