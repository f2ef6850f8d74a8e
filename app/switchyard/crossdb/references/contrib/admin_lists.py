"""Let the admin's lists read the parents of a page together, in place of a join, and order children by the key.

Django joins each foreign key that `list_display` names: up to 6.0 without names, by which references are left out
anyway, and later by their names. It orders a column of a foreign key by the columns that order the parents.
https://github.com/django/django/blob/6.1.3/django/contrib/admin/views/main.py#L527-L553
"""

from functools import wraps
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import FieldDoesNotExist


def install() -> None:
    """Replace the methods that choose what is joined. A second call changes nothing."""
    if hasattr(ChangeList.apply_select_related, "prefetches_references"):
        return
    _prefetch_references(ChangeList.apply_select_related)
    _order_by_keys(ChangeList.get_ordering_field)
    if hasattr(ChangeList, "get_select_related_fields"):
        _leave_references_out(ChangeList.get_select_related_fields)


def _prefetch_references(apply: Any) -> None:
    @wraps(apply)
    def apply_select_related(self: Any, qs: Any) -> Any:
        names = [name for name in self.list_display if _is_reference(self, name)]
        return apply(self, qs).prefetch_related(*names)

    apply_select_related.prefetches_references = True  # type: ignore[attr-defined]
    ChangeList.apply_select_related = apply_select_related  # type: ignore[method-assign]


def _order_by_keys(get: Any) -> None:
    @wraps(get)
    def get_ordering_field(self: Any, field_name: Any) -> Any:
        if _is_reference(self, field_name):
            return self.lookup_opts.get_field(field_name).attname
        return get(self, field_name)

    ChangeList.get_ordering_field = get_ordering_field  # type: ignore[method-assign]


def _leave_references_out(get: Any) -> None:
    @wraps(get)
    def get_select_related_fields(self: Any) -> list[str]:
        return [name for name in get(self) if not _is_reference(self, name)]

    ChangeList.get_select_related_fields = get_select_related_fields  # type: ignore[method-assign]


def _is_reference(changes: Any, name: Any) -> bool:
    try:
        field = changes.lookup_opts.get_field(name)
    except FieldDoesNotExist:  # a method, or a function
        return False
    return getattr(field, "crosses_databases", False) and name == field.name
