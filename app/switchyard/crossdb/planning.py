"""Choose the strategy of each condition while its keys arrive, and run the query.

| situation | strategy |
| --- | --- |
| the source is on the alias of the query | a subquery |
| a limit, and an order by the key or none | chunks, from a few keys on |
| a limit of at most 1,000 rows, and another order | a probe of the first rows, if they are enough |
| at most 10,000 keys | one statement |
| more, and the query can be divided by its keys | chunks |
| more, and the alias may be written, and the rows are read at once | a temporary table |
| more, up to 1,000,000 keys | one statement |
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from typing import Any

from switchyard.crossdb.counting import Execution, counted
from switchyard.crossdb.division import Division, division_of
from switchyard.crossdb.errors import TooManyKeysError
from switchyard.crossdb.execution import Fragment, OuterQuery
from switchyard.crossdb.expression import CrossDatabaseIn
from switchyard.crossdb.sources import CHUNK_SIZE, pages, spooled, stream
from switchyard.crossdb.strategies import chunks, one_statement, probe, subquery, temporary_table

MAX_KEYS_OF_ONE_STATEMENT = 1_000_000

type _Fragments = dict[object, Fragment]


def execute(outer: OuterQuery, conditions: list[CrossDatabaseIn]) -> Any:
    """Return the result of the query, as `SQLCompiler.execute_sql()` returns it.

    `conditions` are those of the query, each as often as its SQL names it.
    """
    fragments: _Fragments = {}
    elsewhere: list[CrossDatabaseIn] = []
    for condition in {each.rhs: each for each in conditions}.values():
        if subquery.is_on(outer.compiler.using, condition):
            fragments[condition.rhs] = subquery.fragment(condition)
        else:
            elsewhere.append(condition)
    with ExitStack() as stack:
        for condition in elsewhere:
            execution = stack.enter_context(counted(condition.rhs.queryset, outer.compiler.using, "one_statement"))
            if len(conditions) == 1:
                return _execute_one(outer, condition, execution, fragments, stack)
            keys = _all_keys(condition, _counted(condition, execution, stream(condition.rhs.queryset)))
            fragments[condition.rhs] = one_statement.fragment(condition, keys)
        return outer.run(fragments)


def _execute_one(
    outer: OuterQuery, condition: CrossDatabaseIn, execution: Execution, fragments: _Fragments, stack: ExitStack
) -> Any:
    """Run a query that names one condition once. `stack` ends with the execution."""
    division = division_of(outer.compiler, condition, outer.result_type)
    if division is not None and division.limit is not None:
        execution.strategy = "chunks"
        few = _counted(condition, execution, _first_keys(condition, division, division.limit))
        return chunks.united(outer, division, chunks.parts(condition, few, fragments))
    if division is None and probe.fits(outer, condition):
        found = probe.matching_keys(outer, condition, fragments)
        if found is not None:
            execution.strategy, execution.keys = "probe", len(found)
            return outer.run({**fragments, condition.rhs: one_statement.fragment(condition, found)})

    descending = division is not None and division.descending
    arriving = _counted(condition, execution, stream(condition.rhs.queryset, descending=descending))
    first, second = next(arriving, []), next(arriving, None)
    if second is not None:
        arriving = chain((first, second), arriving)
        if division is not None:
            execution.strategy = "chunks"
            return _execute_chunks(outer, condition, division, arriving, fragments, stack)
        if not outer.chunked_fetch and temporary_table.fits(outer.compiler.using, condition):
            table = stack.enter_context(temporary_table.held(outer.compiler.using, condition, arriving))
            if table is not None:
                execution.strategy = "temporary_table"
                return outer.run({**fragments, condition.rhs: table})
        first = _all_keys(condition, arriving)
    return outer.run({**fragments, condition.rhs: one_statement.fragment(condition, first)})


def _execute_chunks(  # noqa: PLR0917 - those of an execution, and its keys
    outer: OuterQuery,
    condition: CrossDatabaseIn,
    division: Division,
    arriving: Iterator[list[Any]],
    fragments: _Fragments,
    stack: ExitStack,
) -> Any:
    if not outer.chunked_fetch:
        return chunks.united(outer, division, chunks.parts(condition, arriving, fragments))
    parts = chunks.parts(condition, spooled(arriving), fragments)
    return _until_iterated(chunks.iterated(outer, parts), stack.pop_all())


def _until_iterated(rows: Iterator[Any], stack: ExitStack) -> Iterator[Any]:
    with stack:
        yield from rows


def _first_keys(condition: CrossDatabaseIn, division: Division, limit: int) -> Iterator[list[Any]]:
    source = condition.rhs.queryset
    if limit > CHUNK_SIZE:
        return stream(source, descending=division.descending)
    return pages(source, descending=division.descending, first=limit)


def _counted(condition: CrossDatabaseIn, execution: Execution, arriving: Iterable[list[Any]]) -> Iterator[list[Any]]:
    """Yield the chunks, and count their keys. Raises TooManyKeysError beyond the bound of the condition."""
    bound = condition.rhs.max_keys
    for keys in arriving:
        execution.keys += len(keys)
        if bound is not None and execution.keys > bound:
            remedy = "Filter it, or raise `max_keys` of CrossDatabaseIn."
            raise TooManyKeysError(condition.rhs.label, bound, remedy)
        yield keys


def _all_keys(condition: CrossDatabaseIn, arriving: Iterable[list[Any]]) -> list[Any]:
    """Return all keys. Raises TooManyKeysError beyond the bound of one statement."""
    every: list[Any] = []
    for keys in arriving:
        every += keys
        if len(every) > MAX_KEYS_OF_ONE_STATEMENT:
            remedy = (
                "This query needs all of them in one statement, because its result cannot be united from parts."
                " Filter the source, or leave out what prevents the parts: exclude(), OR, distinct(), an aggregate, or"
                " another order than that of the key."
            )
            raise TooManyKeysError(condition.rhs.label, MAX_KEYS_OF_ONE_STATEMENT, remedy)
    return every
