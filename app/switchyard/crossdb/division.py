"""Whether a query can be divided by its keys: several queries, each with some of the keys, then give its result."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from django.db.models.expressions import Star
from django.db.models.sql import AND, DeleteQuery, UpdateQuery
from django.db.models.sql.compiler import SQLAggregateCompiler
from django.db.models.sql.constants import MULTI, SINGLE

from switchyard.crossdb.expression import CrossDatabaseIn
from switchyard.crossdb.key_types import EXACT, SAME_ORDER, key_type
from switchyard.crossdb.sources import is_ordered


@dataclass(frozen=True)
class Division:
    """How the results of the parts become the result of the whole."""

    result: str  # "rows", "row", "count" or "affected"
    descending: bool = False  # the order of the keys
    limit: int | None = None  # of rows


def division_of(compiler: Any, condition: CrossDatabaseIn, result_type: Any) -> Division | None:
    """Return how to divide the query of the compiler; None if the parts would not give its result.

    The compiler has compiled its query.
    """
    query: Any = compiler.query
    source = condition.rhs.queryset
    is_exact = key_type(condition.lhs.output_field) in EXACT and is_ordered(source)
    if not is_exact or query.low_mark or not is_conjunct(compiler, condition):
        return None
    if issubclass(type(query), UpdateQuery | DeleteQuery):
        return None if query.is_sliced or _moves_rows(query, condition) else Division("affected")
    if result_type == SINGLE and _is_count(query):
        return Division("count")
    descending = _descending_by_key(compiler, condition)
    if result_type not in {MULTI, SINGLE} or has_aggregates(query) or descending is None:
        return None
    return Division("rows" if result_type == MULTI else "row", descending, query.high_mark)


def is_conjunct(compiler: Any, condition: CrossDatabaseIn) -> bool:
    """Return True if each row of the result is one row that fulfils the condition, and other conditions."""
    query = compiler.query
    if isinstance(compiler, SQLAggregateCompiler) or query.combinator or query.distinct or query.group_by is not None:
        return False
    return any(isinstance(each, CrossDatabaseIn) and each.rhs is condition.rhs for each in _conjuncts(query.where))


def has_aggregates(query: Any) -> bool:
    """Return True if a value of the select list depends on several rows."""
    return any(each.contains_aggregate or each.contains_over_clause for each in query.annotations.values())


def _moves_rows(query: Any, condition: CrossDatabaseIn) -> bool:
    """Return True if an update changes the key of a row, or rows of several tables: a later part would see the row."""
    if not issubclass(type(query), UpdateQuery):
        return False
    return bool(query.related_updates) or any(field is condition.lhs.target for field, _, _ in query.values)


def _conjuncts(node: Any) -> list[Any]:
    if not hasattr(node, "children"):
        return [node]
    if node.negated or node.connector != AND:
        return []
    return [each for child in node.children for each in _conjuncts(child)]


def _is_count(query: Any) -> bool:
    if query.select or query.default_cols or query.is_sliced:
        return False
    selected = list(query.annotation_select.values())
    return (
        len(selected) == 1
        and type(selected[0]) is Count
        and isinstance(selected[0].get_source_expressions()[0], Star)
        and selected[0].filter is None
    )


def _descending_by_key(compiler: Any, condition: CrossDatabaseIn) -> bool | None:
    """Return the order of the keys in the result; None if another order comes first."""
    order = compiler.get_order_by()
    if not order:
        return False
    first = order[0][0]
    is_by_key = first.expression == condition.lhs and key_type(condition.lhs.output_field) in SAME_ORDER
    return bool(first.descending) if is_by_key else None
