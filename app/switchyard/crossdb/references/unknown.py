"""Tombstones of references that no installed model records. No worker takes them, so they are reported.

A model or field was renamed, the reference was removed, records nothing now or leads to parents on another owner, or
its app is not installed.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from django.db.models import QuerySet

from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.tombstones import OPEN, Tombstone


class UnknownReference(NamedTuple):
    """A reference that tombstones name, and no installed model records. The names are those of `Reference`."""

    parent_owner: str
    label: str

    @property
    def open_tombstones(self) -> QuerySet[Tombstone]:
        """Its tombstones with something to be done."""
        return Tombstone.objects.using(self.parent_owner).filter(reference=self.label, state__in=OPEN)

    @property
    def remedy(self) -> str:
        """What to do with its tombstones."""
        table = Tombstone._meta.db_table
        return (
            f"If the reference has another name now, run on '{self.parent_owner}': UPDATE {table} SET reference ="
            f" '<its name now>' WHERE reference = '{self.label}'. If it is gone, delete children"
            f" that must go by SQL, and run: DELETE FROM {table} WHERE reference = '{self.label}'."
        )


def unknown_references(alias: str, known: Iterable[Reference]) -> Iterator[UnknownReference]:
    """Yield the references of this owner's tombstones that are not among the known ones, if something is to be done.

    One query for each label that the tombstones have, and one more for each that is not known; each by the index.
    """
    labels = {each.label for each in known if each.parent_owner == alias}
    tombstones, label = Tombstone.objects.using(alias), ""
    while following := tombstones.filter(reference__gt=label).order_by("reference").first():
        label = following.reference
        found = UnknownReference(alias, label)
        if label not in labels and found.open_tombstones.exists():
            yield found
