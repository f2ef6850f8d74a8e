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
        sql, params = _membership(condition, compiler)
        column_sql, column_params = compiler.compile(condition.lhs)
        return f"({sql} AND {column_sql} IS NOT NULL)", (*params, *column_params)

    return render


def _membership(condition: CrossDatabaseIn, compiler: Any) -> tuple[str, Any]:
    """Return `column IN (subquery)` without NULL among the keys, which would make NOT IN match no row."""
    source = condition.rhs.queryset
    if not is_fixed(source):
        not_null = source.filter(**{f"{column_of(source)}__isnull": False})
        sql, params = compiler.compile(In(condition.lhs, not_null.query.resolve_expression(compiler.query)))
        return sql, params
    # A further condition would change which keys the source has, and MySQL takes no LIMIT directly inside of IN.
    query = source.query.resolve_expression(compiler.query)
    query.clear_ordering(clear_default=True)  # a slice keeps its order
    keys_sql, keys_params = compiler.compile(query)
    keys_sql = f"WITH switchyard_keys (k) AS {keys_sql} SELECT k FROM switchyard_keys WHERE k IS NOT NULL"
    sql, params = compiler.compile(condition.lhs)
    return f"{sql} IN ({keys_sql})", (*params, *keys_params)
