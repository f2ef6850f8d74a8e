"""Ask the source about the first rows of the outer query, for a limit with an order that is not the key's.

A list of all keys would cost as much as without the limit. The condition is left out, so an index of the outer table
gives the first rows in their order; the source says which of their keys it has. The rows are read again from the
beginning while they are too few, four times as many: no cursor and no transaction is needed.
"""

from typing import Any

from django.db.models.sql.constants import MULTI, SINGLE

from switchyard.crossdb.division import has_aggregates, is_conjunct
from switchyard.crossdb.execution import Fragments, OuterQuery
from switchyard.crossdb.expression import CrossDatabaseIn
from switchyard.crossdb.key_types import KeyType, key_type
from switchyard.crossdb.sources import is_fixed, present

PROBE_SIZES = (200, 800, 3_200, 12_800)  # rows
MAX_LIMIT = 1_000  # rows: beyond that the probe reads too many rows in vain


def fits(outer: OuterQuery, condition: CrossDatabaseIn) -> bool:
    """Return True if a probe may answer the query; it may still need too many rows."""
    query = outer.compiler.query
    return (
        outer.result_type in {MULTI, SINGLE}
        and query.high_mark is not None
        and query.high_mark <= MAX_LIMIT
        and not is_fixed(condition.rhs.queryset)
        # The source would compare texts by its own collation, and not by that of the outer column.
        and key_type(condition.lhs.output_field) is not KeyType.TEXT
        and is_conjunct(outer.compiler, condition)
        and not has_aggregates(query)
    )


def matching_keys(outer: OuterQuery, condition: CrossDatabaseIn, fragments: Fragments) -> list[Any] | None:
    """Return keys of the source that hold all rows of the result; None if the first rows hold too few.

    Queries: one on each alias for each of the PROBE_SIZES that is needed.
    """
    wanted = outer.compiler.query.high_mark
    unfiltered = {**fragments, condition.rhs: _true}
    asked: set[Any] = set()
    matching: set[Any] = set()
    for size in PROBE_SIZES:
        if size < wanted:
            continue
        keys = _first_keys(outer.compiler, condition, unfiltered, size)
        unknown = {key for key in keys if key is not None} - asked
        matching |= present(condition.rhs.queryset, sorted(unknown))
        asked |= unknown
        if len(keys) < size or sum(key in matching for key in keys) >= wanted:
            return sorted(matching)
    return None


def _first_keys(compiler: Any, condition: CrossDatabaseIn, fragments: Fragments, size: int) -> list[Any]:
    query = compiler.query.chain()
    query.clear_limits()
    query.set_limits(high=size)
    query.select_related = False
    query.clear_select_clause()
    query.add_annotation(condition.lhs, "switchyard_key")
    first = OuterQuery(query.get_compiler(compiler.using), MULTI, chunked_fetch=False, chunk_size=size)
    return [key for (key,) in first.compiler.results_iter(first.run(fragments))]


def _true(_compiler: Any, _connection: Any) -> tuple[str, Any]:
    return "(1 = 1)", ()
