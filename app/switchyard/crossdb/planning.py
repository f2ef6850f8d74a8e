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

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.db.models import BooleanField

from switchyard.crossdb.counting import Execution, counted
from switchyard.crossdb.division import Division, division_of
from switchyard.crossdb.execution import Fragment, OuterQuery
from switchyard.crossdb.expression import CrossDatabaseIn, TooManyKeysError
from switchyard.crossdb.sources import CHUNK_SIZE, pages, spooled, stream
from switchyard.crossdb.strategies import chunks, one_statement, probe, subquery, temporary_table

MAX_KEYS_OF_ONE_STATEMENT = 1_000_000

type _Fragments = dict[object, Fragment]


@dataclass(frozen=True)
class Plan:
    """What is known about a condition before its keys arrive; its source is on another alias."""

    condition: CrossDatabaseIn
    division: Division | None  # the way to unite the results of parts
    may_probe: bool
    may_hold_table: bool


def plans_of(outer: OuterQuery) -> tuple[list[Plan], list[CrossDatabaseIn], _Fragments]:
    """Return a plan for each condition, the conditions that are subqueries, and the fragments of these.

    No query, and no decision of a router. Raises TypeError if a condition is compared with another column.
    """
    _refuse_compared(outer.compiler.query)
    subqueries: list[CrossDatabaseIn] = []
    fragments: _Fragments = {}
    # The source of a subquery may have conditions of its own.
    conditions = outer.conditions(fragments)
    while here := [each for each in conditions if subquery.is_on(outer.compiler.using, each)]:
        fragments |= {each.rhs: subquery.fragment(each) for each in here}
        subqueries += here
        conditions = outer.conditions(fragments)
    named = Counter(each.rhs for each in conditions)
    unique = {each.rhs: each for each in conditions}.values()
    return [_plan(outer, each, is_named_once=named[each.rhs] == 1) for each in unique], subqueries, fragments


def _refuse_compared(query: Any) -> None:
    """Raise TypeError for `filter(id=CrossDatabaseIn(...))`: it compares the key with true or false."""
    for each in query.where.leaves():
        condition = getattr(each, "rhs", None)
        if isinstance(condition, CrossDatabaseIn) and not isinstance(each.lhs.output_field, BooleanField):
            field = each.lhs.target.name if hasattr(each.lhs, "target") else "an expression"
            raise TypeError(
                f"The condition over the keys of {condition.rhs.label} is true or false, and is compared with"
                f" '{field}'. Give the condition to filter() without a name: filter(CrossDatabaseIn(...))."
            )


def _plan(outer: OuterQuery, condition: CrossDatabaseIn, *, is_named_once: bool) -> Plan:
    if not is_named_once:
        return Plan(condition, None, may_probe=False, may_hold_table=False)
    division = division_of(outer.compiler, condition, outer.result_type)
    may_probe = division is None and probe.fits(outer, condition)
    # A program would run inside the transaction of the table, between the rows of `iterator()`.
    is_read_at_once = division is None and not outer.chunked_fetch
    may_hold_table = is_read_at_once and temporary_table.fits(outer.compiler.using, condition)
    return Plan(condition, division, may_probe, may_hold_table)


def execute(outer: OuterQuery) -> Any:
    """Return the result of the query, as `SQLCompiler.execute_sql()` returns it."""
    plans, _, fragments = plans_of(outer)
    with ExitStack() as stack:
        for plan in plans:
            source = plan.condition.rhs.queryset
            execution = stack.enter_context(counted(source, outer.compiler.using, "one_statement"))
            if plan is plans[-1]:
                return _execute_last(outer, plan, execution, fragments, stack)
            keys = _all_keys(plan.condition, _counted(plan.condition, execution, stream(source)))
            fragments[plan.condition.rhs] = one_statement.fragment(plan.condition, keys)
        return outer.run(fragments)


def _execute_last(outer: OuterQuery, plan: Plan, execution: Execution, fragments: _Fragments, stack: ExitStack) -> Any:
    """Run a query that lacks the keys of one condition only. `stack` ends with the execution."""
    condition, division = plan.condition, plan.division
    if division is not None and division.limit is not None:
        execution.strategy = "chunks"
        few = _counted(condition, execution, _keys_for_limit(condition, division, division.limit))
        return chunks.united(outer, division, chunks.parts(condition, few, fragments))
    if plan.may_probe and (found := probe.matching_keys(outer, condition, fragments)) is not None:
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
        if plan.may_hold_table:
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
    return _until_iterated(chunks.iterated(outer, condition, parts), stack.pop_all())


def _until_iterated(rows: Iterator[Any], stack: ExitStack) -> Iterator[Any]:
    with stack:
        yield from rows


def _keys_for_limit(condition: CrossDatabaseIn, division: Division, limit: int) -> Iterator[list[Any]]:
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
