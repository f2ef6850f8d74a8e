"""Choose the strategy of each condition while its keys arrive, and run the query.

| situation | strategy |
| --- | --- |
| the source is on the alias of the query | a subquery |
| a limit, and an order by the key or none | chunks, from a few keys on |
| a limit of at most 1,000 rows, and another order | a probe of the first rows, if they are enough |
| at most 10,000 keys | one statement |
| more, and the query can be divided by its keys | chunks |
| more, up to 1,000,000 keys | one statement |
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from typing import Any

from switchyard.crossdb.counting import Execution, counted
from switchyard.crossdb.division import division_of
from switchyard.crossdb.errors import TooManyKeysError
from switchyard.crossdb.execution import Fragment, run
from switchyard.crossdb.expression import CrossDatabaseIn
from switchyard.crossdb.sources import spooled, stream
from switchyard.crossdb.strategies import chunks, one_statement, probe, subquery

MAX_KEYS_OF_ONE_STATEMENT = 1_000_000


def execute(compiler: Any, conditions: list[CrossDatabaseIn], result_type: Any, *, chunked: bool, size: int) -> Any:
    """Return the result of the query, as `SQLCompiler.execute_sql()` returns it.

    `conditions` are those of the query, each as often as its SQL names it.
    """
    fragments: dict[object, Fragment] = {}
    elsewhere: dict[object, CrossDatabaseIn] = {}
    for condition in conditions:
        if subquery.is_on(compiler.using, condition):
            fragments[condition.rhs] = subquery.fragment(condition)
        else:
            elsewhere[condition.rhs] = condition
    with ExitStack() as stack:
        for condition in elsewhere.values():
            execution = stack.enter_context(counted(condition.rhs.queryset, compiler.using, "one_statement"))
            if len(conditions) > 1:
                fragments[condition.rhs] = one_statement.fragment(condition, _all_keys(condition, execution, ()))
                continue
            return _execute(compiler, condition, result_type, execution, fragments, stack, chunked=chunked, size=size)
        return run(compiler, fragments, result_type, chunked=chunked, size=size)


def _execute(  # noqa: PLR0913 - the parts of one execution
    compiler: Any,
    condition: CrossDatabaseIn,
    result_type: Any,
    execution: Execution,
    fragments: dict[object, Fragment],
    stack: ExitStack,
    *,
    chunked: bool,
    size: int,
) -> Any:
    division = division_of(compiler, condition, result_type)
    if division is not None and division.limit is not None:
        execution.strategy = "chunks"
        keys = _counted(condition, execution, chunks.limited_keys(condition, division))
        return chunks.divided(compiler, condition, division, keys, fragments)
    if division is None and probe.fits(compiler, condition, result_type):
        found = probe.matching_keys(compiler, condition, fragments)
        if found is not None:
            execution.strategy, execution.keys = "probe", len(found)
            fragments[condition.rhs] = one_statement.fragment(condition, found)
            return run(compiler, fragments, result_type, chunked=chunked, size=size)
    descending = division is not None and division.descending
    arriving = _counted(condition, execution, stream(condition.rhs.queryset, descending=descending))
    first = next(arriving, [])
    second = next(arriving, None)
    if second is None:
        fragments[condition.rhs] = one_statement.fragment(condition, first)
    elif division is None:
        every = _all_keys(condition, execution, chain((first, second), arriving))
        fragments[condition.rhs] = one_statement.fragment(condition, every)
    else:
        execution.strategy = "chunks"
        every_chunk = chain((first, second), arriving)
        if chunked and division.result == "rows":
            # The program runs between the chunks: the execution ends with its iteration.
            return _iterated(compiler, condition, spooled(every_chunk), fragments, stack.pop_all(), size)
        return chunks.divided(compiler, condition, division, every_chunk, fragments)
    return run(compiler, fragments, result_type, chunked=chunked, size=size)


def _iterated(  # noqa: PLR0917 - the parts of one execution
    compiler: Any,
    condition: CrossDatabaseIn,
    keys: Iterable[list[Any]],
    fragments: dict[object, Fragment],
    stack: ExitStack,
    size: int,
) -> Iterator[Any]:
    with stack:
        yield from chunks.rows_of_parts(compiler, condition, keys, fragments, size)


def _counted(
    condition: CrossDatabaseIn, execution: Execution, arriving: Iterable[list[Any]]
) -> Iterator[list[Any]]:
    """Yield the chunks, and count their keys. Raises TooManyKeysError beyond the bound of the condition."""
    for keys in arriving:
        execution.keys += len(keys)
        if condition.rhs.max_keys is not None and execution.keys > condition.rhs.max_keys:
            remedy = "Filter it, or raise `max_keys` of CrossDatabaseIn."
            raise TooManyKeysError(condition.rhs.label, condition.rhs.max_keys, remedy)
        yield keys


def _all_keys(condition: CrossDatabaseIn, execution: Execution, arriving: Iterable[list[Any]]) -> list[Any]:
    """Return all keys. Raises TooManyKeysError beyond the bound of one statement."""
    every: list[Any] = []
    for keys in arriving or _counted(condition, execution, stream(condition.rhs.queryset)):
        every += keys
        if len(every) > MAX_KEYS_OF_ONE_STATEMENT:
            remedy = (
                "This query needs all of them in one statement, because its result cannot be united from parts."
                " Filter the source, or leave out what prevents the parts: exclude(), OR, distinct(), an aggregate, or"
                " another order than that of the key."
            )
            raise TooManyKeysError(condition.rhs.label, MAX_KEYS_OF_ONE_STATEMENT, remedy)
    return every
