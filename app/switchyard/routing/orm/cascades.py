"""Refuse a deletion that reaches another owner's rows: Django would look for them in the parent's database.

Where it need not load them, it sends a DELETE or UPDATE there, which the guard refuses. Where it must (somebody listens
to their deletion, or other rows hang on them) it sends a SELECT, which looks like one that was sent there by name.

Two private methods are wrapped, because no documented hook comes before that SELECT: `pre_delete` is sent when all is
loaded, and no router is asked where a statement names its alias.
https://github.com/django/django/blob/6.1.3/django/db/models/deletion.py#L433-L441
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Field, Model, QuerySet
from django.db.models.deletion import Collector

from switchyard.routing.errors import CrossOwnerCascadeError, MisplacedWriteError, record_violation
from switchyard.routing.topology.ownership import app_of_rows, owner_and_replicas, owner_of
from switchyard.routing.topology.tables import has_owner

type _Field = Field[Any, Any]

_related_objects = Collector.related_objects


def install() -> None:
    """Judge what a deletion reaches by foreign keys, and by generic relations where there are any."""
    Collector.related_objects = _judged_related_objects  # type: ignore[assignment, method-assign]
    if apps.is_installed("django.contrib.contenttypes"):
        _install_for_generic_relations()


@cache  # tests that change INSTALLED_APPS install all anew
def _install_for_generic_relations() -> None:
    from django.contrib.contenttypes.fields import GenericRelation  # noqa: PLC0415 - needs the app

    bulk_related_objects = GenericRelation.bulk_related_objects

    def judged(self: GenericRelation, objs: list[Model], using: str = DEFAULT_DB_ALIAS) -> QuerySet[Any]:
        _judge(using, self.model, self.related_model, self)
        return bulk_related_objects(self, objs, using)

    GenericRelation.bulk_related_objects = judged  # type: ignore[method-assign]


def _judged_related_objects(
    self: Collector, related_model: type[Model], related_fields: Sequence[_Field], objs: Any
) -> QuerySet[Model]:
    for field in related_fields:
        _judge(self.using, field.related_model, related_model, field)
    return _related_objects(self, related_model, related_fields, objs)


def _judge(alias: str, parent: Any, child: Any, relation: _Field) -> None:
    if not _holds_rows(parent, alias):
        raise record_violation(MisplacedWriteError(alias=alias, owner=owner_of(parent), model=parent._meta.label))
    if not _holds_rows(child, alias):
        labels = {"model": parent._meta.label, "other": child._meta.label, "relation": str(relation)}
        raise record_violation(CrossOwnerCascadeError(alias=alias, other_owner=owner_of(child), **labels))


def _holds_rows(model: type[Model], alias: str) -> bool:
    """Tell whether the alias has the model's rows; of what nobody owns, nothing is known."""
    return not has_owner(app_of_rows(model)) or alias in owner_and_replicas(owner_of(model))
