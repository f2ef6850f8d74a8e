"""Read one SQL statement, token by token, without a grammar.

The reader knows where a table's name and a function call can stand. The words that introduce tables, such as FROM and
INTO, are in `clauses.py`, the names of functions in `calls.py`. A statement that the reader does not understand counts
as a write.
"""

from switchyard.sql.calls import record_call
from switchyard.sql.clauses import (
    CLAUSES,
    EXPLAIN_VERBS,
    OPEN,
    STATEMENT_OPERATIONS,
    STATEMENT_WORDS,
    Expected,
    Parenthesis,
    StatementState,
    mark_of_pragma,
    quoted_name_of_explain,
)
from switchyard.sql.function_names import SYNTAX
from switchyard.sql.keywords import (
    AFTER_TABLES,
    BEFORE_TABLE,
    CHANGES,
    PAIRS,
    TRANSACTION_VERBS,
    VERBS,
    VERBS_OF_VENDOR,
    Operation,
)
from switchyard.sql.tokenizer import Token, lower

_DOT = Token("mark", ".")
_FOR = Token("word", "FOR")
_FROM = Token("word", "FROM")
_ORDINALITY = Token("word", "ORDINALITY")
_BEFORE_CTE_QUERY = frozenset({"AS", "MATERIALIZED"})
_NOT_CTE_NAMES = frozenset({"AS", "NOT", "MATERIALIZED"})
_BEFORE_CTE_NAME = frozenset({"WITH", "RECURSIVE", ","})
# After one of these words WITH opens a list of CTEs. Elsewhere it may be part of `timestamp with time zone`.
_BEFORE_WITH = frozenset({"", "(", "EXPLAIN", "ANALYZE", "VERBOSE", "PLAN"})
_BEFORE_TARGET = frozenset({"UPDATE", "ONLY"})
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
        innermost = self.parentheses[-1]
        innermost.names_cte = innermost.lists_ctes and self.previous in _BEFORE_CTE_NAME
        may_be_alias, innermost.after_source = innermost.after_source, False
        is_list = may_be_alias and following == OPEN and (kind == "name" or self._can_be_alias(text))
        if kind == "word":
            self._take_word(text, following, innermost, is_list=is_list)
            # The alias comes after `AS`, and after `WITH ORDINALITY`.
            innermost.after_source |= may_be_alias and (text == "AS" or following == _ORDINALITY)
            innermost.after_source |= text == "ORDINALITY"
        else:
            self._take_quoted(text, following, is_list=is_list)
        self.schema = (text if kind == "name" else lower(text)) if following == _DOT else ""
        self.previous = text if kind == "word" else '"'

    @property
    def operation(self) -> Operation:
        """Return the statement's operation, by its first words and the words after them."""
        if (operation := PAIRS.get((self.verb, self.second_word))) is not None:
            return operation
        of_vendor = VERBS_OF_VENDOR.get(self.vendor, {}).get(self.verb)
        if of_vendor is None and (operation_of := STATEMENT_OPERATIONS.get(self.verb)) is not None:
            return operation_of(self)
        operation = of_vendor or VERBS.get(self.verb, "write")
        return "write" if operation == "read" and self.writes else operation

    @property
    def ends_transaction(self) -> bool:
        """Return True if the statement ends a transaction or begins one."""
        two_words = (self.verb, self.second_word)
        return two_words == ("PREPARE", "TRANSACTION") or (
            self.verb in TRANSACTION_VERBS and two_words != ("ROLLBACK", "TO")
        )

    def _take_mark(self, mark: str) -> None:
        innermost = self.parentheses[-1]
        if self.verb == "PRAGMA":
            mark_of_pragma(self, mark)
        if mark == "(":
            cte = innermost.last_name if self.previous in _BEFORE_CTE_QUERY else ""
            if self.recursive:
                self.cte_names.add(cte)
            if innermost.lists_ctes and self.previous not in _BEFORE_CTE_QUERY and not innermost.names_cte:
                innermost.lists_ctes = False  # the main query
            inherits = innermost.expects == "source" or self.previous in _BEFORE_TARGET
            expects: Expected = innermost.expects if inherits else ""
            is_source = expects == "source" or innermost.calls_source
            self.parentheses.append(Parenthesis(is_query=not self.verb, expects=expects, cte=cte, is_source=is_source))
            innermost.expects, innermost.calls_source = "", False
        elif mark == ")" and len(self.parentheses) > 1:
            closed = self.parentheses.pop()
            self.cte_names.add(closed.cte)
            self.parentheses[-1].after_source = closed.is_source
            return
        elif mark == ",":
            innermost.expects = innermost.expects_after_comma
        innermost.after_source = False

    def _take_word(self, word: str, following: Token, innermost: Parenthesis, *, is_list: bool) -> None:
        self.is_verb = word in CHANGES and self._can_be_verb(following, innermost)
        if not self.verb:
            self.verb = word
        else:
            self.second_word = self.second_word or word
            if following == OPEN and not self.is_verb:
                self._take_call(word, innermost, quoted=False, is_list=is_list)
        self._follow_ctes(word, following, innermost)
        if self.is_verb:
            innermost.is_query = self.writes = True
        # MariaDB's `NEXT VALUE FOR sequence`, and `sequence.NEXTVAL` of its mode ORACLE
        if (word, self.previous, following) == ("VALUE", "NEXT", _FOR) or (word, self.previous) == ("NEXTVAL", "."):
            self.writes = True
        if self.verb in STATEMENT_WORDS:
            STATEMENT_WORDS[self.verb](self, word, following)
        if (clause := CLAUSES.get(word)) is not None:
            clause(self, innermost, following)
        elif word in AFTER_TABLES:
            innermost.is_query = innermost.is_query or word == "SELECT"
            innermost.expects = innermost.expects_after_comma = ""
        elif not innermost.expects or not self._stands_before_table(word, following):
            self._take_name(word, following)

    def _take_quoted(self, name: str, following: Token, *, is_list: bool) -> None:
        self.verb = self.verb or '"'  # a text that begins with a quoted name has no known verb
        if self.verb in EXPLAIN_VERBS:
            quoted_name_of_explain(self)
        elif self.verb == "PRAGMA" and self.previous in {"PRAGMA", "."}:
            self.pragma = ""
        if following == OPEN:
            self._take_call(name, self.parentheses[-1], quoted=True, is_list=is_list)
        self._take_name(name, following)

    def _take_name(self, name: str, following: Token) -> None:
        """Record the name if it is a table's; otherwise it may name a CTE."""
        innermost = self.parentheses[-1]
        if following == _DOT:
            return
        is_function = innermost.expects == "source" and following == OPEN
        innermost.calls_source = is_function
        innermost.after_source = innermost.expects == "source" and not is_function
        if innermost.expects and not is_function and not self._is_cte(name):
            self.tables.append(name.lower())
        innermost.expects = ""
        if name not in _NOT_CTE_NAMES:
            innermost.last_name = name.lower()

    def _take_call(self, name: str, innermost: Parenthesis, *, quoted: bool, is_list: bool) -> None:
        if not is_list and not self._opens_list(innermost):
            record_call(self, name, quoted=quoted)

    def _opens_list(self, innermost: Parenthesis) -> bool:
        """Return True if `name (` begins a list of columns or options, or the length of a type, instead of a call."""
        of_target = innermost.expects == "target" and (self.writes or self.verb == "COPY")
        of_copy = self.verb == "COPY" and len(self.parentheses) == 1
        return (
            self.previous in {"AS", "::", "PREPARE"}
            or innermost.lists_ctes
            or of_target
            or of_copy
            or self.verb == "PRAGMA"
        )

    def _can_be_alias(self, word: str) -> bool:
        return word not in SYNTAX[self.vendor] and word not in CLAUSES and word not in AFTER_TABLES

    def _stands_before_table(self, word: str, following: Token) -> bool:
        is_rows_from = word == "ROWS" and following == _FROM
        return word in BEFORE_TABLE or is_rows_from or (self.verb == "LOCK" and word == "TABLES")

    def _is_cte(self, name: str) -> bool:
        """Return True if the name stands for a CTE here. A name with a schema stands for a table."""
        return name.lower() in self.cte_names and self.previous != "."

    def _follow_ctes(self, word: str, following: Token, innermost: Parenthesis) -> None:
        """Follow where a list of CTEs begins and ends: at the first word of the main query."""
        if innermost.lists_ctes:
            ends = word in _AFTER_CTES and self.previous not in _BEFORE_CTE_NAME
            innermost.lists_ctes = not ends
        elif word == "WITH" and following.kind in {"word", "name"}:
            before_explained = self.verb in EXPLAIN_VERBS and self.previous == ")" and not self.explained
            of_cursor = self.verb == "DECLARE" and self.previous == "FOR"
            innermost.lists_ctes = self.previous in _BEFORE_WITH or before_explained or of_cursor

    def _can_be_verb(self, following: Token, innermost: Parenthesis) -> bool:
        """Return True where a verb may stand: at the start, in a CTE, after the last CTE, after EXPLAIN."""
        if innermost.lists_ctes:
            return self.previous not in _BEFORE_CTE_NAME
        if not self.previous or (self.verb in EXPLAIN_VERBS and not self.explained):
            return True
        return self.previous == "(" and following.kind in {"word", "name"}
