"""Refuse a deletion that reaches another owner's rows. Django would look for these rows in the parent's database.

Django deletes some children without loading them: it sends a DELETE or an UPDATE, and the guard refuses it. Other
children it must load first, because a signal receiver or another relation needs them. The SELECT for them looks like a
read that the program sent to this alias by name, so the guard lets it pass.

Two undocumented methods are wrapped, because no documented hook comes before that SELECT: Django sends `pre_delete`
after it has loaded everything, and asks no router for a statement that names its alias.
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
    """Check each deletion by foreign keys, and by generic relations if `contenttypes` is installed."""
    Collector.related_objects = _checked_related_objects  # type: ignore[assignment, method-assign]
    if apps.is_installed("django.contrib.contenttypes"):
        _install_for_generic_relations()


@cache  # a change of INSTALLED_APPS in a test calls `install()` again
def _install_for_generic_relations() -> None:
    from django.contrib.contenttypes.fields import GenericRelation  # noqa: PLC0415 - needs the app

    bulk_related_objects = GenericRelation.bulk_related_objects

    def checked(self: GenericRelation, objs: list[Model], using: str = DEFAULT_DB_ALIAS) -> QuerySet[Any]:
        _check_relation(using, self.model, self.related_model, self)
        return bulk_related_objects(self, objs, using)

    GenericRelation.bulk_related_objects = checked  # type: ignore[method-assign]


def _checked_related_objects(
    self: Collector, related_model: type[Model], related_fields: Sequence[_Field], objs: Any
) -> QuerySet[Model]:
    for field in related_fields:
        _check_relation(self.using, field.related_model, related_model, field)
    return _related_objects(self, related_model, related_fields, objs)


def _check_relation(alias: str, parent: Any, child: Any, relation: _Field) -> None:
    """Raise the error of a deletion on the alias that reaches the child's rows by the relation, if it is a mistake."""
    if not _may_hold_rows(parent, alias):
        raise record_violation(MisplacedWriteError(alias=alias, owner=owner_of(parent), model=parent._meta.label))
    if not _may_hold_rows(child, alias):
        labels = {"model": parent._meta.label, "other": child._meta.label, "relation": str(relation)}
        raise record_violation(CrossOwnerCascadeError(alias=alias, other_owner=owner_of(child), **labels))


def _may_hold_rows(model: type[Model], alias: str) -> bool:
    """Return True if the alias holds the model's rows, or if the model has no owner: then their place is unknown."""
    return not has_owner(app_of_rows(model)) or alias in owner_and_replicas(owner_of(model))
