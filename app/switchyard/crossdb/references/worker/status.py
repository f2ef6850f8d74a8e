"""How a reference is: whether the deletions of its parents are recorded, and what the worker has to do and has done."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import Error

from switchyard.crossdb.references.checks.partitions import partition_advice
from switchyard.crossdb.references.checks.presence import trigger_presence
from switchyard.crossdb.references.registry import Reference, references
from switchyard.crossdb.references.tombstones import State
from switchyard.crossdb.references.unknown import unknown_references
from switchyard.crossdb.references.worker.backlog import Backlog, backlog
from switchyard.crossdb.references.worker.claims import tombstones
from switchyard.routing.errors import first_line


@dataclass(frozen=True)
class ReferenceStatus:
    """One reference. With an `error` of one line its owner could not be read, and the numbers are 0.

    A reference that only tombstones name has no target and no rule.
    """

    reference: str
    source: str
    target: str
    rule: str
    recorded_by: str  # `triggers`, `signals`, or `none` if nothing follows from a deletion
    triggers: tuple[str, ...] | None = ()  # that the reference needs and has; None if the role may not see them
    missing_triggers: tuple[str, ...] = ()
    tombstones: Backlog = field(default_factory=Backlog)
    set_aside_error: str = ""  # of the newest tombstone that was set aside
    error: str = ""
    advice: str = ""  # for an unknown reference, and for a partitioned table

    @property
    def state(self) -> str:
        """Return the state in a word or two; the worst one that holds."""
        if self.error:
            return "unreadable"
        if self.missing_triggers:
            return "trigger missing"
        if not self.target:
            return "unknown reference"
        if self.advice:
            return "partitioned"
        return "set aside" if self.tombstones.set_aside else "well"


def statuses() -> Iterator[ReferenceStatus]:
    """Yield the status of each reference of the installed models, and of those that only tombstones name.

    Queries on each owner of parents: those of `status()` and of `unknown_references()`.
    """
    found = [status(each) for each in references()]
    yield from found
    known = list(references(recorded_only=True))
    unreadable = {each.source for each in found if each.error}
    for alias in sorted({each.parent_owner for each in known} - unreadable):
        for each in unknown_references(alias, known):
            yield ReferenceStatus(each.label, alias, "", "", "", tombstones=backlog(each), advice=each.remedy)


def status(reference: Reference) -> ReferenceStatus:
    """Return the status, from the owner of the parents.

    Queries: at most four, on MySQL up to six; none for a reference whose parents leave no tombstones.
    """
    recorded_by = reference.recorded_by or "none"
    known = (reference.label, reference.parent_owner, reference.child_owner, reference.rule, recorded_by)
    if recorded_by == "none":
        return ReferenceStatus(*known)
    try:
        triggers, found = trigger_presence(reference), backlog(reference)
        return ReferenceStatus(
            *known,
            triggers=None if triggers is None else tuple(name for name, exists in triggers.items() if exists),
            missing_triggers=tuple(name for name, exists in (triggers or {}).items() if not exists),
            tombstones=found,
            advice=partition_advice(reference),
            set_aside_error=_newest_error(reference) if found.set_aside else "",
        )
    except Error as error:
        return ReferenceStatus(*known, error=first_line(error))


def _newest_error(reference: Reference) -> str:
    newest = tombstones(reference).filter(state=State.SET_ASIDE).order_by("-due_at").first()
    return newest.error if newest else ""
