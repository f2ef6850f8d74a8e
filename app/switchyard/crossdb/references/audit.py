"""Find orphans: children whose reference names a parent that does not exist.

The parents' owner is asked which keys exist, so two keys are equal if the parent's column says so, as they are for the
attribute that loads the parent. A merge of both sides in binary order would report keys that this column finds, and
would need one order of all servers.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import Error
from django.db.models import Count, F

from switchyard.crossdb.key_list import KeyList
from switchyard.crossdb.references.exact_keys import TextBytes, has_text_key
from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.tombstones import State
from switchyard.crossdb.references.worker.children import parents_among, reach
from switchyard.crossdb.references.worker.claims import tombstones
from switchyard.crossdb.sources import spooled, stream
from switchyard.routing.errors import RoutingError, first_line

MAX_EXAMPLES = 10  # keys of one reference
_KEY = "switchyard_parent_key"  # the name of a column of the queries below


@dataclass
class Audit:
    """What the audit of one reference has found so far. The counts are exact."""

    reference: Reference
    fixes: bool = False  # the orphans are deleted, or their reference is set to NULL
    checked: int = 0  # distinct keys that children hold
    orphan_keys: int = 0  # distinct keys without a parent
    orphans: int = 0  # children with such a key
    fixed: int = 0  # rows that the audit changed
    waiting_tombstones: int = 0  # whose children the worker will reach
    examples: list[Any] = field(default_factory=list)  # keys without a parent
    error: str = ""  # why a database could not be read, or a row not be changed

    @property
    def has_orphans(self) -> bool:
        """Return True if orphans are left."""
        return bool(self.orphans) and not self.fixes


Report = Callable[[Audit], None]


def audits(references: Iterable[Reference], *, fix: bool, report: Report = lambda _found: None) -> Iterator[Audit]:
    """Audit one reference after the other, and yield what was found. `report` gets the counts of each step.

    With `fix` the orphans are deleted, or their reference is set to NULL, as the worker does it. DO_NOTHING changes no
    orphan. Memory is bounded. Queries: one that reads the distinct keys of the children; one on the parents' owner for
    each 10,000 keys; and two more for each of these that hold candidates.
    """
    for reference in references:
        found = Audit(reference, fixes=fix and reference.field.records_deletions)
        report(found)
        try:
            _audit(found, report)
        except (Error, RoutingError) as error:
            found.error = first_line(error)
        yield found


def _audit(found: Audit, report: Report) -> None:
    for candidates in spooled(_candidates(found, report)):
        orphans = _confirmed(found.reference, candidates)
        try:
            if found.fixes:
                _fix(found, orphans)
        finally:
            found.orphan_keys += len(orphans)
            found.orphans += sum(orphans.values())
            found.examples.extend(list(orphans)[: MAX_EXAMPLES - len(found.examples)])
            report(found)
    if found.reference.field.records_deletions:
        found.waiting_tombstones = tombstones(found.reference).filter(state=State.WAITING).count()


def _candidates(found: Audit, report: Report) -> Iterator[list[Any]]:
    """Yield the keys whose parents do not exist when they are read."""
    reference = found.reference
    chunks = _keys(reference)
    if reference.parent_owner == reference.child_owner:
        chunks = spooled(chunks)  # one connection, and MySQL's serves no other query during a stream
    for keys in chunks:
        existing = parents_among(reference, keys)
        found.checked += len(keys)
        report(found)
        if candidates := [key for key in keys if key not in existing]:
            yield candidates


def _keys(reference: Reference) -> Iterator[list[Any]]:
    """Yield the distinct keys that the children hold."""
    column = reference.field.attname
    children = reference.children().filter(**{f"{column}__isnull": False})
    if not has_text_key(reference):
        return stream(children.values(column))
    chunks = stream(children.annotate(**{_KEY: TextBytes(column)}).values(_KEY))
    return ([bytes(key).decode() for key in chunk] for chunk in chunks)


def _confirmed(reference: Reference, candidates: Collection[Any]) -> dict[Any, int]:
    """Return the candidates that are orphans' keys now, each with the number of its children.

    The children are read first and the parents' owner is asked afterwards: a parent that was inserted before its child
    is found.
    """
    children = _counts(reference, candidates)
    existing = parents_among(reference, children)
    return {key: count for key, count in children.items() if key not in existing}


def _counts(reference: Reference, keys: Collection[Any]) -> dict[Any, int]:
    column, is_text = reference.field.attname, has_text_key(reference)
    rows = reference.children().filter(KeyList(column, keys)).order_by()
    by_key = rows.values(**{_KEY: TextBytes(column) if is_text else F(column)}).annotate(children=Count("pk"))
    counts = dict(by_key.values_list(_KEY, "children"))
    if is_text:
        counts = {bytes(key).decode(): count for key, count in counts.items()}
    return {key: counts[key] for key in keys if key in counts}


def _fix(found: Audit, orphans: dict[Any, int]) -> None:
    """Fix the orphans, and take away the keys whose parents have come."""
    for reached in reach(found.reference, list(orphans)):
        found.fixed += reached.children
        for key in reached.existing:
            del orphans[key]
