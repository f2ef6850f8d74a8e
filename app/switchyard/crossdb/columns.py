"""The columns that a queryset returns, known before it runs. No query."""

from typing import Any

from django.db.models import QuerySet


def columns_of(queryset: QuerySet[Any, Any]) -> tuple[str, ...]:
    """Return the names of the columns that a queryset of tuples or dictionaries returns, in their order."""
    query = queryset.query
    return tuple(query.selected or (*query.extra_select, *query.values_select, *query.annotation_select))
