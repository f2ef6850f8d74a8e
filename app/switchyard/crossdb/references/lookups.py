"""`filter(user__in=queryset)` by a reference: the queryset of the other database gives its keys."""

from typing import Any

from django.db.models import QuerySet
from django.db.models.fields.related_lookups import RelatedIn
from django.db.models.sql import Query

from switchyard.crossdb.expression import CrossDatabaseIn
from switchyard.routing.topology.ownership import owner_of


class RelatedInAcrossDatabases(RelatedIn):
    """Become a CrossDatabaseIn where the right side is a queryset of another owner."""

    def __new__(cls, lhs: Any = None, rhs: Any = None) -> Any:  # a copy is made without arguments
        """Return the condition that fits the right side."""
        if isinstance(rhs, Query) and rhs.model is not None and owner_of(rhs.model) != owner_of(lhs.target.model):
            keys: QuerySet[Any, Any] = QuerySet(rhs.model, query=rhs.clone(), using=getattr(rhs, "_db", None))
            return CrossDatabaseIn.of_column(lhs, keys if rhs.has_select_fields else keys.values("pk"))
        return super().__new__(cls)
