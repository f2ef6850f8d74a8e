"""System check of the admin's options that would join two databases by a reference (E023)."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.db.models.constants import LOOKUP_SEP


def check_admin_options(**_kwargs: Any) -> list[CheckMessage]:
    """Return an error for each such option of a registered admin."""
    from django.contrib.admin import sites  # noqa: PLC0415 - needs the app

    return [
        _error(admin, option, path, field)
        for site in sites.all_sites
        for model in apps.get_models()
        if site.is_registered(model)
        for admin in (site.get_model_admin(model),)
        for option, path in _paths(admin)
        if (field := _crossing(model, path)) is not None
    ]


def _paths(admin: Any) -> Iterator[tuple[str, str]]:
    """Yield each path over fields that an option of the admin names, with the name of the option."""
    for path in admin.search_fields:
        yield "search_fields", path.lstrip("^=@")
    for item in admin.list_filter:
        path = item[0] if isinstance(item, list | tuple) else item
        if isinstance(path, str):
            yield "list_filter", path
    for path in admin.ordering or ():
        if isinstance(path, str):
            yield "ordering", path.lstrip("-")
    if admin.date_hierarchy:
        yield "date_hierarchy", admin.date_hierarchy
    if isinstance(admin.list_select_related, list | tuple):
        for path in admin.list_select_related:
            yield "list_select_related", f"{path}{LOOKUP_SEP}*"  # all columns


def _crossing(model: type[Model], path: str) -> Any:
    """Return the reference by which the path leads to a column of another database, or None."""
    parts = path.split(LOOKUP_SEP)
    for index, part in enumerate(parts):
        try:
            field: Any = model._meta.pk if part == "pk" else model._meta.get_field(part)
        except FieldDoesNotExist:  # a lookup, or an error that Django reports
            return None
        relation = getattr(field, "field", field)  # of the other side of a relation
        if getattr(relation, "crosses_databases", False) and relation.joins_databases:
            is_key = relation is field and set(parts[index + 1 :]) <= {"pk", relation.target_field.name, "exact", "in"}
            return None if is_key else relation
        if not field.is_relation or field.related_model is None:
            return None
        model = field.related_model
    return None


def _error(admin: Any, option: str, path: str, field: Any) -> CheckMessage:
    shown = path.removesuffix(f"{LOOKUP_SEP}*")
    remedy = {
        "list_select_related": "Use prefetch_related() in its get_queryset()",
        "search_fields": f"Search by '={field.attname}', or filter by parents in its get_search_results()",
        "list_filter": f"Filter by '{field.name}', or by parents in a SimpleListFilter",
    }.get(option, f"Use '{field.attname}'")
    return Error(
        f"{option} of {type(admin).__name__} names '{shown}', and {field.model._meta.label}.{field.name} leads to"
        " another database, with which no query can join.",
        hint=f"{remedy}.",
        obj=type(admin),
        id="switchyard.E023",
    )
