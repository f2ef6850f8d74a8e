"""Run the query once for each chunk of keys, and unite the results."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from django.db import transaction

from switchyard.crossdb.division import Division
from switchyard.crossdb.execution import Fragments, OuterQuery
from switchyard.crossdb.expression import CrossDatabaseIn
from switchyard.crossdb.strategies import one_statement


def parts(condition: CrossDatabaseIn, chunks: Iterable[list[Any]], fragments: Fragments) -> Iterator[Fragments]:
    """Yield the fragments of each part of the query, as the chunks of keys arrive."""
    return ({**fragments, condition.rhs: one_statement.fragment(condition, keys)} for keys in chunks)


def united(outer: OuterQuery, division: Division, fragments_of_parts: Iterator[Fragments]) -> Any:
    """Return the result of the query, as `SQLCompiler.execute_sql()` returns it. One query for each part."""
    return _UNITE[division.result](replace(outer, chunked_fetch=False), division, fragments_of_parts)


def iterated(outer: OuterQuery, condition: CrossDatabaseIn, fragments_of_parts: Iterator[Fragments]) -> Iterator[Any]:
    """Yield lists of rows as the caller asks for them. One query for each part."""
    part_of = replace(outer, chunked_fetch=not _has_one_row_for_a_key(outer.compiler, condition))
    for part in fragments_of_parts:
        yield from part_of.run(part)


def _has_one_row_for_a_key(compiler: Any, condition: CrossDatabaseIn) -> bool:
    """Return True if a part has no more rows than keys: a server-side cursor would only cost more round trips."""
    column = getattr(condition.lhs, "target", None)  # of an expression there is none
    return column is not None and column.unique and len(compiler.query.alias_map) == 1


def _rows(outer: OuterQuery, division: Division, fragments_of_parts: Iterator[Fragments]) -> list[Any]:
    lists: list[Any] = []
    missing = division.limit
    for part in fragments_of_parts:
        for rows in outer.run(part):
            lists.append(rows[:missing])
            missing = missing and missing - len(lists[-1])
            if missing == 0:
                return lists
    return lists


def _row(outer: OuterQuery, _division: Division, fragments_of_parts: Iterator[Fragments]) -> Any:
    return next(filter(None, map(outer.run, fragments_of_parts)), None)


def _count(outer: OuterQuery, _division: Division, fragments_of_parts: Iterator[Fragments]) -> list[int]:
    return [sum(outer.run(part)[0] for part in fragments_of_parts)]


def _affected(outer: OuterQuery, _division: Division, fragments_of_parts: Iterator[Fragments]) -> int:
    with transaction.atomic(using=outer.compiler.using, savepoint=False):
        return sum(outer.run(part) or 0 for part in fragments_of_parts)


_UNITE = {"rows": _rows, "row": _row, "count": _count, "affected": _affected}
