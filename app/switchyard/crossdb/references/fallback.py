"""Record deletions by Django's signal, where a server allows no triggers. Raw SQL and changes of keys pass unseen."""

from typing import Any

from django.db.models import Model
from django.db.models.signals import post_delete

from switchyard.crossdb.references.deletions import label_of
from switchyard.crossdb.references.tombstones import Tombstone


def record_by_signal(field: Any, parent: type[Model]) -> None:
    """Record each deletion of the parent by the ORM, in the transaction that deletes. One INSERT for each row."""
    reference = label_of(field)

    def record(instance: Model, using: str, **_signal: Any) -> None:
        Tombstone.objects.using(using).create(reference=reference, parent_key=str(instance.pk))

    concrete = parent._meta.concrete_model
    post_delete.connect(record, sender=concrete, weak=False, dispatch_uid=f"switchyard.deletions.{reference}")
