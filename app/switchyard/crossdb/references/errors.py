"""Errors of references across databases."""

from typing import Any

from django.core.exceptions import FieldError


class CrossDatabaseJoinError(FieldError):
    """A query that would join two databases by a reference. `field` is the reference.

    >>> from switchyard.crossdb import CrossDatabaseJoinError
    >>> try:
    ...     list(Event.objects.filter(user__username="ada"))
    ... except CrossDatabaseJoinError:
    ...     print(Event.objects.filter(user__in=User.objects.using("default").filter(username="ada")).count())
    0
    """

    def __init__(self, field: Any) -> None:
        name, child, parent = field.name, field.model._meta, field.related_model._meta
        super().__init__(
            f"{child.label}.{name} leads to {parent.label}, which is on another database, and no query can join the"
            f" two. Use prefetch_related('{name}') or attach() in place of select_related('{name}'), and"
            f" filter({name}__in={parent.object_name}.objects.filter(...)) in place of a filter that names a column of"
            " the other side. From the other side use"
            f" CrossDatabaseIn('pk', {child.object_name}.objects.filter(...).values('{name}'))."
            f" Order by '{field.attname}'."
        )
