"""A source on the alias of the outer query is a subquery, as Django makes it."""

from typing import Any

from django.db.models.lookups import In

from switchyard.crossdb.execution import Fragment
from switchyard.crossdb.expression import CrossDatabaseIn
from switchyard.crossdb.sources import column_of, is_fixed
from switchyard.routing.topology.ownership import app_of_rows, is_primary_only, owner_of, replicas_of


def is_on(alias: str, condition: CrossDatabaseIn) -> bool:
    """Return True if the source's rows are on the alias of the outer query, and no other alias is named for them."""
    source: Any = condition.rhs.queryset
    named = source._db  # noqa: SLF001 - `db` would ask the routers, which count decisions
    if named is not None:
        return bool(named == alias)
    owner = owner_of(source.model)
    return alias == owner or (alias in replicas_of(owner) and not is_primary_only(app_of_rows(source.model)))


def fragment(condition: CrossDatabaseIn) -> Fragment:
    """Return the fragment with the subquery."""

    def render(compiler: Any, _connection: Any) -> tuple[str, Any]:
        source = condition.rhs.queryset
        if not is_fixed(source):  # NULL among the keys would make NOT IN match no row
            source = source.filter(**{f"{column_of(source)}__isnull": False})
        sql, params = compiler.compile(In(condition.lhs, source.query.resolve_expression(compiler.query)))
        column_sql, column_params = compiler.compile(condition.lhs)
        return f"({sql} AND {column_sql} IS NOT NULL)", (*params, *column_params)

    return render
