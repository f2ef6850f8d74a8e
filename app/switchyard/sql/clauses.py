"""The effect of single words on the reading of a statement, as tables of small functions.

`CLAUSES` has the words that introduce or end a list of tables, in any statement. `STATEMENT_WORDS` and
`STATEMENT_OPERATIONS` have the statements whose operation depends on more than their first two words. The order of
reading, and the tokens that are not words, are in `reader.py`.
"""

from collections.abc import Callable
from typing import Literal

from switchyard.sql.keywords import (
    AFTER_BEGIN,
    CHANGES,
    READ_ONLY_PRAGMAS,
    SET_SCOPES,
    STRENGTH,
    WRITING_PRAGMAS,
    Operation,
)
from switchyard.sql.tokenizer import Token

# What may come next: `source`, a table, a query or a function's rows; `target`, only a table; empty, no table.
type Expected = Literal["", "source", "target"]

OPEN = Token("mark", "(")
EXPLAIN_VERBS = frozenset({"EXPLAIN", "DESCRIBE", "DESC"})

_AT = Token("mark", "@")
_IN = Token("word", "IN")
_LOCKED_WORDS = frozenset(Token("word", text) for text in ("UPDATE", "SHARE", "NO", "KEY"))
_OFF = frozenset(Token("word", text) for text in ("FALSE", "OFF"))
_EXPLAINED_WRITES = frozenset({"CREATE", "EXECUTE", "REFRESH"}) | CHANGES
_EXPLAINED = frozenset({"SELECT", "WITH", "TABLE", "VALUES", "DECLARE"}) | _EXPLAINED_WRITES


class Parenthesis:
    """The state of the reading inside one pair of parentheses, or outside all of them."""

    __slots__ = (
        "after_source",
        "calls_source",
        "cte",
        "expects",
        "expects_after_comma",
        "is_query",
        "is_source",
        "last_name",
        "lists_ctes",
        "names_cte",
    )

    def __init__(self, *, is_query: bool, expects: Expected = "", cte: str = "", is_source: bool = False) -> None:
        self.is_query = is_query  # FROM introduces tables here, unlike in `EXTRACT(DAY FROM at)`
        self.expects = expects
        self.expects_after_comma = expects
        self.last_name = ""  # may become the name of a CTE
        self.lists_ctes = False  # inside the list of CTEs
        self.names_cte = False  # the current word is the name of a CTE: `name (` begins a list of columns
        self.cte = cte  # the CTE whose query this is; the name stands for the CTE after the end of the query
        self.is_source = is_source  # a query, a join or the arguments of a function in the list of tables
        self.calls_source = False  # the next parenthesis has the arguments of a function in the list of tables
        self.after_source = False  # a table, query or function of the list has just ended: its alias may follow


class StatementState:
    """The findings about one statement, up to the current token."""

    __slots__ = (
        "advisory_lock",
        "analyzes",
        "built_in",
        "calls",
        "copy_direction",
        "cte_names",
        "explained",
        "is_verb",
        "locks",
        "parentheses",
        "pragma",
        "previous",
        "recursive",
        "schema",
        "second_word",
        "set_scope",
        "tables",
        "vendor",
        "verb",
        "writes",
    )

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self.verb = self.second_word = ""  # the first two words
        self.previous = ""  # the text of the previous token
        self.schema = ""  # the name before the dot before this name
        self.tables: list[str] = []
        self.calls: list[str] = []  # functions that are not known to be read-only
        self.built_in: list[str] = []  # functions that are, and words that may name a function of the database
        self.cte_names: set[str] = set()  # these names stand for no tables
        self.locks = self.writes = self.analyzes = self.recursive = self.advisory_lock = False
        self.is_verb = False  # the current word is the verb of a statement or of a CTE
        self.explained = ""  # the verb after EXPLAIN
        self.pragma = ""  # the name after PRAGMA, if it is not quoted
        self.set_scope: Operation = "other"
        self.copy_direction = ""  # of COPY: `TO STDOUT`, for example
        self.parentheses = [Parenthesis(is_query=True)]  # the open ones, the innermost last


def _from(state: StatementState, innermost: Parenthesis, _following: Token) -> None:
    is_from_of_copy = state.verb == "COPY" and len(state.parentheses) == 1
    if innermost.is_query and state.previous != "DISTINCT" and not is_from_of_copy:
        innermost.expects = innermost.expects_after_comma = "source"


def _join(_state: StatementState, innermost: Parenthesis, _following: Token) -> None:
    innermost.expects = "source"


def _into(state: StatementState, innermost: Parenthesis, following: Token) -> None:
    if state.vendor == "mysql" and following == _AT:  # a variable of the session
        innermost.expects = innermost.expects_after_comma = ""
        return
    state.writes = True
    innermost.expects, innermost.expects_after_comma = "target", ""


def _target(_state: StatementState, innermost: Parenthesis, _following: Token) -> None:
    innermost.expects = "target"


def _copy(state: StatementState, innermost: Parenthesis, _following: Token) -> None:
    if not state.previous:
        innermost.expects = "target"


def _update(state: StatementState, innermost: Parenthesis, _following: Token) -> None:
    innermost.expects = innermost.expects_after_comma = "target" if state.is_verb else ""


def _using(state: StatementState, innermost: Parenthesis, following: Token) -> None:
    if state.writes and following != OPEN:
        innermost.expects = innermost.expects_after_comma = "source"


def _recursive(state: StatementState, _innermost: Parenthesis, _following: Token) -> None:
    state.recursive = True


def _insert(state: StatementState, innermost: Parenthesis, _following: Token) -> None:
    # INTO is optional on MySQL.
    if state.is_verb:
        innermost.expects, innermost.expects_after_comma = "target", ""


def _truncate(_state: StatementState, innermost: Parenthesis, _following: Token) -> None:
    innermost.expects = innermost.expects_after_comma = "target"


def _on(_state: StatementState, innermost: Parenthesis, _following: Token) -> None:
    innermost.expects = ""


def _for(state: StatementState, innermost: Parenthesis, following: Token) -> None:
    state.locks = state.locks or following in _LOCKED_WORDS
    innermost.expects = innermost.expects_after_comma = ""


def _lock(state: StatementState, innermost: Parenthesis, following: Token) -> None:
    state.locks = state.locks or state.verb == "LOCK" or following == _IN
    innermost.expects = innermost.expects_after_comma = "target" if state.verb == "LOCK" else ""


# Word -> its effect, given the innermost parenthesis and the token after the word.
CLAUSES: dict[str, Callable[[StatementState, Parenthesis, Token], None]] = {
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


def _word_of_set(state: StatementState, word: str, _following: Token) -> None:
    state.set_scope = max(state.set_scope, SET_SCOPES.get(word, "other"), key=STRENGTH.__getitem__)


def _word_of_copy(state: StatementState, word: str, following: Token) -> None:
    if word in {"FROM", "TO"} and not state.copy_direction and len(state.parentheses) == 1:
        state.copy_direction = f"{word} {following.text}"


def _word_of_explain(state: StatementState, word: str, following: Token) -> None:
    if state.explained:
        return
    if word in _EXPLAINED:
        state.explained = word
        state.writes = state.writes or word in _EXPLAINED_WRITES
    elif word in {"ANALYZE", "ANALYSE"} and following not in _OFF:
        state.analyzes = True


def _word_of_pragma(state: StatementState, word: str, _following: Token) -> None:
    if state.previous in {"PRAGMA", "."}:
        state.pragma = word
        state.writes = state.writes or word in WRITING_PRAGMAS


def _word_of_begin(state: StatementState, word: str, _following: Token) -> None:
    # MariaDB's `BEGIN NOT ATOMIC`, and BEGIN in its mode ORACLE, hold every statement that a procedure may hold.
    state.writes = state.writes or (bool(state.previous) and word not in AFTER_BEGIN)


# First word of a statement -> the effect of each word of the statement.
STATEMENT_WORDS: dict[str, Callable[[StatementState, str, Token], None]] = {
    "SET": _word_of_set,
    "COPY": _word_of_copy,
    "PRAGMA": _word_of_pragma,
    "BEGIN": _word_of_begin,
    **dict.fromkeys(EXPLAIN_VERBS, _word_of_explain),
}


def quoted_name_of_explain(state: StatementState) -> None:
    """Take an option of EXPLAIN in quotes for ANALYZE, which Unicode escapes may spell in many ways."""
    state.analyzes = state.analyzes or not state.explained


def mark_of_pragma(state: StatementState, mark: str) -> None:
    """Follow the name of a PRAGMA. A name in quotes counts as the name of a PRAGMA that writes."""
    if mark == ".":
        state.pragma = ""  # the name was the schema's
    elif mark in {"(", "="}:
        state.writes = state.writes or state.previous not in READ_ONLY_PRAGMAS


def _operation_of_explain(state: StatementState) -> Operation:
    # MySQL's read-only transaction refuses to explain a write, although it would only be explained.
    return "write" if state.writes and (state.analyzes or state.vendor == "mysql") else "read"


def _operation_of_copy(state: StatementState) -> Operation:
    # COPY to a file or a program writes, on the server.
    return "read" if state.copy_direction == "TO STDOUT" and not state.writes else "write"


# First word of a statement -> its operation, after the last word.
STATEMENT_OPERATIONS: dict[str, Callable[[StatementState], Operation]] = {
    "SET": lambda state: "write" if state.writes else state.set_scope,
    "COPY": _operation_of_copy,
    "PRAGMA": lambda state: "other" if state.pragma and not state.writes else "write",
    "BEGIN": lambda state: "write" if state.writes else "tx",
    **dict.fromkeys(EXPLAIN_VERBS, _operation_of_explain),
}
