"""Say how a query across databases would run, without running it."""

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet
from django.db.models.functions import Collate
from django.db.models.sql.constants import MULTI

from switchyard.crossdb.columns import refuse_other_than_queryset
from switchyard.crossdb.execution import OuterQuery
from switchyard.crossdb.expression import CrossDatabaseIn
from switchyard.crossdb.planning import MAX_KEYS_OF_ONE_STATEMENT, Plan, plans_of
from switchyard.crossdb.sources import CHUNK_SIZE, column_of


def explain_cross(queryset: QuerySet[Any, Any]) -> str:
    """Return the plan of each `CrossDatabaseIn` in the queryset, as text, for a list of its rows.

    The number of keys is known when the query runs, so the plan names the strategy for few and for many keys. No query;
    the routers decide about both aliases.

        >>> from switchyard.crossdb import CrossDatabaseIn, explain_cross
        >>> active = CrossDatabaseIn("id", Event.objects.values("user_id"))
        >>> print(explain_cross(User.objects.using("default").filter(active)))
        User.id on 'default' among the keys AnalyticsEvent.user_id on 'analytics':
        up to 10,000 keys: one statement; more: chunks of 10,000 keys.
    """
    refuse_other_than_queryset("explain_cross()", queryset)
    compiler = queryset.query.get_compiler(queryset.db)
    try:
        outer = OuterQuery(compiler, MULTI, chunked_fetch=False, chunk_size=CHUNK_SIZE)
        plans, subqueries, _ = plans_of(outer)
    except EmptyResultSet:
        return "No query: no row can match."
    alias = compiler.using
    lines = [
        *(f"{_names(each, alias, alias)}\na subquery." for each in subqueries),
        *(f"{_names(each.condition, alias, each.condition.rhs.queryset.db)}\n{_steps(each)}." for each in plans),
    ]
    return "\n".join(lines) or "No condition across databases."


def _names(condition: CrossDatabaseIn, alias: str, place: str) -> str:
    source = condition.rhs.queryset
    name = _name(condition.lhs)
    return f"{name} on '{alias}' among the keys {source.model.__name__}.{column_of(source)} on '{place}':"


def _name(column: Any) -> str:
    if isinstance(column, Collate):
        collated: Any = column
        return f"{_name(*collated.get_source_expressions())} by collation '{collated.collation}'"
    return f"{column.target.model.__name__}.{column.target.name}" if hasattr(column, "target") else "An expression"


def _steps(plan: Plan) -> str:
    if plan.division is not None and plan.division.limit is not None:
        return f"chunks of keys from {min(plan.division.limit, CHUNK_SIZE):,} on, until the limit is reached"
    first = ["a probe of the first rows; if they are too few"] if plan.may_probe else []
    if plan.division is not None:
        many = f"more: chunks of {CHUNK_SIZE:,} keys"
    elif plan.may_hold_table:
        many = "more: a temporary table"
    else:
        many = f"more, up to {MAX_KEYS_OF_ONE_STATEMENT:,}: one statement as well"
    return "; ".join((*first, f"up to {CHUNK_SIZE:,} keys: one statement", many))
