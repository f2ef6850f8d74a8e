"""System checks of relations between models of different owners, which no database can keep (E011, E012)."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.db.models import ForeignKey, Model

from switchyard.routing.topology.ownership import owner_of, owner_of_app
from switchyard.routing.topology.tables import has_owner

_TOGETHER = ("auth", "contenttypes")


def _relations_across() -> Iterator[CheckMessage]:
    for model in apps.get_models():
        for field in _relations(model):
            if model._meta.app_label == "auth" and field.related_model._meta.app_label == "contenttypes":
                continue  # E012 reports it
            here, there = owner_of(model), owner_of(field.related_model)
            if here != there:
                other = field.related_model._meta.label
                yield Error(
                    f"{model._meta.label}.{field.name} relates to {other}, which is owned by '{there}' and not by "
                    f"'{here}': no constraint, join or cascade works across databases.",
                    hint=f"{_remedy(field, other)}, or give both apps one owner in SWITCHYARD['OWNERS'].",
                    obj=field,
                    id="switchyard.E011",
                )


def _remedy(field: Any, other: str) -> str:
    if isinstance(field, ForeignKey):
        return "Use CrossDatabaseForeignKey of switchyard.crossdb in its place"
    return f"Keep the key of {other} in a plain field and filter by it with CrossDatabaseIn of switchyard.crossdb"


def _relations(model: type[Model]) -> Iterator[Any]:
    """Yield the local fields of the model, also generic ones, that relate it to a model with an owner."""
    if model._meta.swapped or not has_owner(model._meta.app_label):
        return
    options = model._meta
    for field in (*options.local_fields, *options.local_many_to_many, *options.private_fields):
        across = getattr(field, "crosses_databases", False)  # a reference of switchyard.crossdb
        other = field.related_model if field.is_relation and not across else None
        if (
            isinstance(other, type) and issubclass(other, Model) and has_owner(other._meta.app_label)
        ):  # otherwise it is an unknown name, which Django reports
            yield field


def _separated_django_apps() -> Iterator[CheckMessage]:
    if all(apps.is_installed(f"django.contrib.{label}") and has_owner(label) for label in _TOGETHER):
        auth, contenttypes = (owner_of_app(label) for label in _TOGETHER)
        if auth != contenttypes:
            yield Error(
                f"SWITCHYARD['OWNERS'] gives 'auth' to '{auth}' and 'contenttypes' to '{contenttypes}': a permission "
                "refers to a content type, so no permission could be created.",
                hint=f"Give both to '{auth}', or both to '{contenttypes}'.",
                id="switchyard.E012",
            )


CHECKS = (_relations_across, _separated_django_apps)
