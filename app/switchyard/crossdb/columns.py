"""The querysets that a program gives: the refusal of other objects, and the columns before a run. No query."""

from reprlib import repr as shortened
from typing import Any

from django.db.models import Manager, Model, QuerySet


def refuse_other_than_queryset(taker: str, given: Any, remedy: str = "give Model.objects.filter(...)") -> None:
    """Raise TypeError unless the object is a queryset. `taker` names the function, `remedy` is that for a list."""
    if isinstance(given, QuerySet):
        return
    if isinstance(given, Manager):
        got, remedy = f"a manager of {given.model._meta.label}", "add .all()"
    elif isinstance(given, type) and issubclass(given, Model):
        got, remedy = f"the model {given._meta.label}", "add .objects.all()"
    else:
        got = f"{type(given).__name__} {shortened(given)}"
    raise TypeError(f"{taker} needs a queryset, and got {got}: {remedy}.")


def columns_of(queryset: QuerySet[Any, Any]) -> tuple[str, ...]:
    """Return the names of the columns that a queryset of tuples or dictionaries returns, in their order."""
    query = queryset.query
    return tuple(query.selected or (*query.extra_select, *query.values_select, *query.annotation_select))
