"""The references of the installed models: who refers to whom, and where their rows are."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import CASCADE, Model, QuerySet

from switchyard.crossdb.references.deletions import label_of
from switchyard.routing.topology.ownership import owner_of


@dataclass(frozen=True)
class Reference:
    """One CrossDatabaseForeignKey of a concrete model."""

    field: Any

    @property
    def label(self) -> str:
        """`app.Model.field`, as tombstones name the reference."""
        return label_of(self.field)

    @property
    def cascades(self) -> bool:
        """Return True if children are deleted with their parent; otherwise their reference becomes NULL."""
        return self.field.on_delete is CASCADE

    @property
    def rule(self) -> str:
        """The name of its `on_delete`."""
        name: str = self.field.on_delete.__name__
        return name

    @property
    def recorded_by(self) -> str | None:
        """What records deletions of the parents: `triggers` or `signals`; None if nothing follows from them."""
        return self.field.recorded_by if self.field.records_deletions else None

    @property
    def parent(self) -> type[Model]:
        """The concrete model of the parents."""
        concrete: type[Model] = self.field.related_model._meta.concrete_model
        return concrete

    @property
    def parent_owner(self) -> str:
        """The alias with the parents and their tombstones."""
        return owner_of(self.parent)

    @property
    def child_owner(self) -> str:
        """The alias with the children."""
        return owner_of(self.field.model)

    def parents(self) -> QuerySet[Any, Any]:
        """Return the parents on their owner, never on a replica."""
        return self.parent._base_manager.using(self.parent_owner)

    def children(self) -> QuerySet[Any, Any]:
        """Return the children on their owner."""
        children: QuerySet[Any, Any] = self.field.model._base_manager.using(self.child_owner)
        return children

    def key(self, text: str) -> Any:
        """Return the parent's key that a tombstone holds as a text."""
        return self.field.target_field.to_python(text)


def references(*, recorded_only: bool = False) -> Iterator[Reference]:
    """Yield the references of all installed models; with `recorded_only` those whose parents leave tombstones."""
    for model in apps.get_models():
        field: Any
        for field in model._meta.local_fields:
            if getattr(field, "crosses_databases", False) and (not recorded_only or field.records_deletions):
                yield Reference(field)
