"""Give each condition in a query its plan when the query runs, whatever form the query has.

`SQLCompiler.execute_sql` is replaced, because it alone sees each execution. A condition without a plan raises
`_Unplanned`, and the execution begins again with a plan for each of its conditions.
https://github.com/django/django/blob/6.1.3/django/db/models/sql/compiler.py#L1613
"""

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db.models.sql.compiler import SQLCompiler
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI

if TYPE_CHECKING:
    from switchyard.crossdb.expression import CrossDatabaseIn

# Makes the SQL of a condition: takes the compiler and its connection.
type Fragment = Callable[[Any, Any], tuple[str, Any]]
type Fragments = Mapping[object, Fragment]  # by the source of the condition

_execute_sql: Any = SQLCompiler.execute_sql


class _Unplanned(Exception):  # noqa: N818 - no error: it leaves this module never
    """A condition that this execution has no plan for."""


class _Compiling(threading.local):
    """How the conditions of the query that this thread compiles are rendered."""

    fragments: Fragments | None = None  # None outside an execution
    seen: "list[CrossDatabaseIn] | None" = None  # takes the conditions of a query, to plan for


_compiling = _Compiling()


@cache
def install() -> None:
    """See each execution of a query from now on. A second call changes nothing."""
    SQLCompiler.execute_sql = _planned_execute_sql  # type: ignore[method-assign]


def sql_of(condition: "CrossDatabaseIn", compiler: Any, connection: Any) -> tuple[str, Any]:
    """Return the SQL of the condition in the query that is compiled. It is never NULL."""
    fragment = _compiling.fragments.get(condition.rhs) if _compiling.fragments is not None else None
    if fragment is not None:
        return fragment(compiler, connection)
    if _compiling.seen is not None:
        _compiling.seen.append(condition)
    elif _compiling.fragments is not None:
        raise _Unplanned
    sql, params = compiler.compile(condition.lhs)
    return f"{sql} IN (NULL /* keys of {condition.rhs.label} */)", params


@dataclass(frozen=True)
class OuterQuery:
    """A query with conditions that runs: its compiler, and the arguments of `SQLCompiler.execute_sql()`."""

    compiler: Any
    result_type: Any
    chunked_fetch: bool
    chunk_size: int

    def run(self, fragments: Fragments) -> Any:
        """Return the result of the query with these fragments, as `SQLCompiler.execute_sql()` does."""
        with _compiled_with(fragments):
            return _execute_sql(self.compiler, self.result_type, self.chunked_fetch, self.chunk_size)

    def conditions(self, fragments: Fragments) -> "list[CrossDatabaseIn]":
        """Return the conditions that have no fragment, each as often as the SQL of the query names it. No query."""
        seen: list[CrossDatabaseIn] = []
        with _compiled_with(fragments, seen):
            self.compiler.as_sql()
        return seen


def has_conditions(compiler: Any) -> bool:
    """Return True if the query of the compiler has conditions over keys of other databases. No query."""
    return bool(OuterQuery(compiler, MULTI, chunked_fetch=False, chunk_size=GET_ITERATOR_CHUNK_SIZE).conditions({}))


@contextmanager
def _compiled_with(fragments: Fragments | None, seen: "list[CrossDatabaseIn] | None" = None) -> Generator[None]:
    before = _compiling.fragments, _compiling.seen
    _compiling.fragments, _compiling.seen = fragments, seen
    try:
        yield
    finally:
        _compiling.fragments, _compiling.seen = before


def _planned_execute_sql(
    self: Any, result_type: Any = MULTI, chunked_fetch: bool = False, chunk_size: int = GET_ITERATOR_CHUNK_SIZE
) -> Any:
    # Not by `_compiled_with()`: each query of the program passes here, and a block takes longer than these lines.
    before = _compiling.fragments, _compiling.seen
    # EXPLAIN does not run the source. A statement that runs while another one is compiled has a plan of its own.
    _compiling.fragments, _compiling.seen = (None if self.query.explain_info else {}), None
    try:
        return _execute_sql(self, result_type, chunked_fetch, chunk_size)
    except _Unplanned:
        pass
    finally:
        _compiling.fragments, _compiling.seen = before

    from switchyard.crossdb.planning import execute  # noqa: PLC0415 - the plans run queries by this module

    return execute(OuterQuery(self, result_type, chunked_fetch, chunk_size))
