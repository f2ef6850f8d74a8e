"""Read one SQL statement, token by token, without a grammar.

The reader knows where a table's name and a function call can stand. The words that introduce tables, such as FROM and
INTO, are in `clauses.py`. A statement that the reader does not understand counts as a write.
"""

from switchyard.sql.clauses import (
    CLAUSES,
    EXPLAIN_VERBS,
    OPEN,
    STATEMENT_OPERATIONS,
    STATEMENT_WORDS,
    Expected,
    Parenthesis,
    StatementState,
)
from switchyard.sql.function_names import READ_ONLY_FUNCTIONS, SYNTAX, SYNTAX_AFTER, WRITING_FUNCTIONS
from switchyard.sql.keywords import AFTER_TABLES, BEFORE_TABLE, CHANGES, PAIRS, VERBS, Operation
from switchyard.sql.tokenizer import Token

_DOT = Token("mark", ".")
_FOR = Token("word", "FOR")
_BEFORE_CTE_QUERY = frozenset({"AS", "MATERIALIZED"})
_NOT_CTE_NAMES = frozenset({"AS", "NOT", "MATERIALIZED"})
# After one of these words WITH opens a list of CTEs. Elsewhere it may be part of `timestamp with time zone`.
_BEFORE_WITH = frozenset({"", "(", "EXPLAIN", "ANALYZE"})
_AFTER_CTES = frozenset({"SELECT", "VALUES", "TABLE"}) | CHANGES


class StatementReader(StatementState):
    """Read one statement: give each token to `take()`, then read the attributes."""

    __slots__ = ()

    def take(self, token: Token, following: Token) -> None:
        """Read one token; `following` is the token after it."""
        kind, text = token
        if kind == "mark":
            self._take_mark(text)
            self.previous = text
            return
        if kind == "word":
            self._take_word(text, following)
        else:
            self.verb = self.verb or '"'  # a text that begins with a quoted name has no known verb
            if following == OPEN:
                self._take_call(text, quoted=True)
            self._take_name(text, following)
        self.schema = text.lower() if following == _DOT else ""
        self.previous = text if kind == "word" else '"'

    @property
    def operation(self) -> Operation:
        """Return the statement's operation, by its first words and the words after them."""
        if (operation := PAIRS.get((self.verb, self.second_word))) is not None:
            return operation
        if (operation_of := STATEMENT_OPERATIONS.get(self.verb)) is not None:
            return operation_of(self)
        operation = VERBS.get(self.verb, "write")
        return "write" if operation == "read" and self.writes else operation

    def _take_mark(self, mark: str) -> None:
        innermost = self.parentheses[-1]
        if mark == "(":
            cte = innermost.last_name if self.previous in _BEFORE_CTE_QUERY else ""
            if self.recursive:
                self.cte_names.add(cte)
            # A parenthesis right after the last CTE's query opens the main query.
            innermost.lists_ctes = innermost.lists_ctes and self.previous != ")"
            expects: Expected = "source" if innermost.expects == "source" else ""
            self.parentheses.append(Parenthesis(is_query=not self.verb, expects=expects, cte=cte))
            innermost.expects = ""
        elif mark == ")" and len(self.parentheses) > 1:
            self.cte_names.add(self.parentheses.pop().cte)
        elif mark == ",":
            innermost.expects = innermost.expects_after_comma

    def _take_word(self, word: str, following: Token) -> None:
        innermost = self.parentheses[-1]
        if not self.verb:
            self.verb = word
        else:
            self.second_word = self.second_word or word
            if following == OPEN:
                self._take_call(word, quoted=False)
        innermost.lists_ctes = (innermost.lists_ctes and word not in _AFTER_CTES) or (
            word == "WITH" and self.previous in _BEFORE_WITH
        )
        if word in CHANGES and following != OPEN and self._can_be_verb():
            innermost.is_query = self.writes = True
        # MariaDB's `NEXT VALUE FOR sequence`
        self.writes = self.writes or (word, self.previous, following) == ("VALUE", "NEXT", _FOR)
        if self.verb in STATEMENT_WORDS:
            STATEMENT_WORDS[self.verb](self, word, following)
        if (clause := CLAUSES.get(word)) is not None:
            clause(self, innermost, following)
        elif word in AFTER_TABLES:
            innermost.is_query = innermost.is_query or word == "SELECT"
            innermost.expects = innermost.expects_after_comma = ""
        elif not innermost.expects or not (word in BEFORE_TABLE or (self.verb == "LOCK" and word == "TABLES")):
            self._take_name(word, following)

    def _take_name(self, name: str, following: Token) -> None:
        """Record the name if it is a table's; otherwise it may name a CTE."""
        innermost = self.parentheses[-1]
        if following == _DOT:
            return
        is_function = innermost.expects == "source" and following == OPEN
        if innermost.expects and not is_function and not self._is_cte(name):
            self.tables.append(name.lower())
        innermost.expects = ""
        if name not in _NOT_CTE_NAMES:
            innermost.last_name = name.lower()

    def _take_call(self, name: str, *, quoted: bool) -> None:
        """Record the called function, unless it is known to be read-only or the name calls nothing."""
        if self._opens_list(self.parentheses[-1]):
            return
        lower = name.lower()
        of_other_schema = self.previous == "." and self.schema not in {"", "pg_catalog"}
        if lower in WRITING_FUNCTIONS:
            self.writes = True
        elif of_other_schema or not (self._is_read_only(name, quoted) or (not quoted and self._is_syntax(name))):
            self.calls.append(lower)

    def _opens_list(self, innermost: Parenthesis) -> bool:
        """Return True if `name (` begins a list of columns or options, or the length of a type, instead of a call."""
        of_target = innermost.expects == "target" and (self.writes or self.verb == "COPY")
        return self.previous in {"AS", "::"} or innermost.lists_ctes or of_target or self.verb == "PRAGMA"

    def _is_read_only(self, name: str, quoted: bool) -> bool:
        # Only PostgreSQL distinguishes "LOWER" from lower.
        exact = name if quoted and self.vendor == "postgresql" else name.lower()
        return exact in READ_ONLY_FUNCTIONS[self.vendor]

    def _is_syntax(self, word: str) -> bool:
        return word in SYNTAX[self.vendor] or self.previous in SYNTAX_AFTER.get(word, ())

    def _is_cte(self, name: str) -> bool:
        """Return True if the name stands for a CTE here. A name with a schema stands for a table."""
        return name.lower() in self.cte_names and self.previous != "."

    def _can_be_verb(self) -> bool:
        """Return True where a verb may stand: at the start, in a CTE, after the last CTE, after EXPLAIN."""
        after_ctes = self.verb == "WITH" and self.previous == ")"
        return self.previous in {"", "("} or after_ctes or self.verb in EXPLAIN_VERBS
