"""Run the query once for each chunk of keys, and unite the results."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db import transaction
from django.db.models.sql.constants import MULTI, ROW_COUNT, SINGLE

from switchyard.crossdb.division import Division
from switchyard.crossdb.execution import Fragments, run
from switchyard.crossdb.expression import CrossDatabaseIn
from switchyard.crossdb.sources import CHUNK_SIZE, pages, stream
from switchyard.crossdb.strategies import one_statement

type _Parts = Iterator[Fragments]


def limited_keys(condition: CrossDatabaseIn, division: Division) -> Iterator[list[Any]]:
    """Yield keys in the order of the division, for a query with a limit: the first page is often enough."""
    assert division.limit is not None
    if division.limit > CHUNK_SIZE:
        return stream(condition.rhs.queryset, descending=division.descending)
    return pages(condition.rhs.queryset, descending=division.descending, first=division.limit)


def divided(
    compiler: Any, condition: CrossDatabaseIn, division: Division, chunks: Iterable[list[Any]], fragments: Fragments
) -> Any:
    """Return the result of the query, as `SQLCompiler.execute_sql()` returns it. One query for each chunk of keys."""
    parts = ({**fragments, condition.rhs: one_statement.fragment(condition, keys)} for keys in chunks)
    return _UNITE[division.result](compiler, parts, division)


def rows_of_parts(
    compiler: Any,
    condition: CrossDatabaseIn,
    chunks: Iterable[list[Any]],
    fragments: Fragments,
    size: int,
) -> Iterator[Any]:
    """Yield lists of rows while the chunks arrive: for `iterator()`."""
    chunked = not _is_unique(compiler, condition)
    for keys in chunks:
        part = {**fragments, condition.rhs: one_statement.fragment(condition, keys)}
        yield from run(compiler, part, MULTI, chunked=chunked, size=size)


def _is_unique(compiler: Any, condition: CrossDatabaseIn) -> bool:
    """Return True if each key has one row: a server-side cursor would then only cost more round trips."""
    column = getattr(condition.lhs, "target", None)  # of an expression there is none
    return column is not None and column.unique and len(compiler.query.alias_map) == 1


def _rows(compiler: Any, parts: _Parts, division: Division) -> list[Any]:
    rows: list[Any] = []
    for part in parts:
        rows += (row for some in run(compiler, part, MULTI, size=CHUNK_SIZE) for row in some)
        if division.limit is not None and len(rows) >= division.limit:
            break
    return [rows[: division.limit]]


def _row(compiler: Any, parts: _Parts, _division: Division) -> Any:
    return next(filter(None, (run(compiler, part, SINGLE) for part in parts)), None)


def _count(compiler: Any, parts: _Parts, _division: Division) -> list[int]:
    return [sum(run(compiler, part, SINGLE)[0] for part in parts)]


def _affected(compiler: Any, parts: _Parts, _division: Division) -> int:
    with transaction.atomic(using=compiler.using, savepoint=False):
        return sum(run(compiler, part, ROW_COUNT) or 0 for part in parts)


_UNITE = {"rows": _rows, "row": _row, "count": _count, "affected": _affected}
