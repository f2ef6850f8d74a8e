"""`filter(user__in=queryset)` by a reference: the queryset of the other database gives its keys."""

from typing import Any

from django.db.models import QuerySet
from django.db.models.fields.related_lookups import RelatedIn
from django.db.models.query import ValuesListIterable
from django.db.models.sql import Query

from switchyard.crossdb.expression import CrossDatabaseIn
from switchyard.routing.topology.ownership import owner_of


class RelatedInAcrossDatabases(RelatedIn):
    """Become a CrossDatabaseIn where the right side is a queryset of another owner."""

    def __new__(cls, lhs: Any = None, rhs: Any = None) -> Any:
        """Return the condition that fits the right side. Copies and pickles are made without arguments."""
        if isinstance(rhs, Query) and rhs.model is not None and owner_of(rhs.model) != owner_of(lhs.target.model):
            return CrossDatabaseIn.of_column(lhs, _keys(rhs))
        return super().__new__(cls)


def _keys(query: Any) -> QuerySet[Any, Any]:
    """Return the queryset of a query that is resolved already. Raises ValueError if it refers to the outer query."""
    if query.get_external_cols():
        raise ValueError(
            f"The queryset of {query.model._meta.label} refers to the outer query, which is on another database."
            " Leave out its OuterRef."
        )
    keys: QuerySet[Any, Any] = QuerySet(query.model, query=query.clone(), using=getattr(query, "_db", None))
    if query.has_select_fields:
        keys._iterable_class = ValuesListIterable  # noqa: SLF001 - its columns are named already
    return keys
