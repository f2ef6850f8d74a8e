"""How a reference is: whether the deletions of its parents are recorded, and what the worker has to do and has done."""

from dataclasses import dataclass, field

from django.db import Error, connections

from switchyard.crossdb.references.backlog import Backlog, backlog
from switchyard.crossdb.references.deletions import RecordDeletions
from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.tombstones import State
from switchyard.crossdb.references.triggers.registry import triggers_of
from switchyard.crossdb.references.worker.claims import tombstones

_EVENTS = ("delete", "update", "truncate")


@dataclass(frozen=True)
class ReferenceStatus:
    """One reference. With an `error` of one line its owner could not be read, and the numbers are 0."""

    reference: str
    source: str
    target: str
    rule: str
    recorded_by: str  # `triggers`, `signals`, or `none` if nothing follows from a deletion
    triggers: tuple[str, ...] = ()  # that the reference needs and has
    missing_triggers: tuple[str, ...] = ()
    tombstones: Backlog = field(default_factory=Backlog)
    set_aside_error: str = ""  # of the newest tombstone that was set aside
    error: str = ""

    @property
    def state(self) -> str:
        """Return the state in a word or two; the worst one that holds."""
        if self.error:
            return "unreadable"
        if self.missing_triggers:
            return "trigger missing"
        return "set aside" if self.tombstones.set_aside else "well"


def status(reference: Reference) -> ReferenceStatus:
    """Return the status, from the owner of the parents.

    Queries: at most three; none for a reference whose parents leave no tombstones.
    """
    recorded_by = reference.field.recorded_by if reference.field.records_deletions else "none"
    rule = reference.field.on_delete.__name__
    known = (reference.label, reference.parent_owner, reference.child_owner, rule, recorded_by)
    if recorded_by == "none":
        return ReferenceStatus(*known)
    try:
        wanted = needed_triggers(reference)
        existing = _triggers_on(reference.parent_owner) if wanted else set()
        found = backlog(reference)
        return ReferenceStatus(
            *known,
            triggers=tuple(name for name in wanted if name in existing),
            missing_triggers=tuple(name for name in wanted if name not in existing),
            tombstones=found,
            set_aside_error=_newest_error(reference) if found.set_aside else "",
        )
    except Error as error:
        return ReferenceStatus(*known, error=str(error).strip().partition("\n")[0])


def needed_triggers(reference: Reference) -> tuple[str, ...]:
    """Return the names of the triggers that record the deletions for the reference, on the vendor of its parents."""
    if reference.field.recorded_by != "triggers":
        return ()
    made = "".join(triggers_of(connections[reference.parent_owner].vendor).made)
    name = next(
        each.name
        for each in reference.parent._meta.constraints
        if isinstance(each, RecordDeletions) and each.reference == reference.label
    )
    return tuple(f"{name}_{event}" for event in _EVENTS if f"%(trigger_{event})s" in made)


def _triggers_on(alias: str) -> set[str]:
    with connections[alias].cursor() as cursor:
        cursor.execute(triggers_of(connections[alias].vendor).listed)
        return {name for (name,) in cursor.fetchall()}


def _newest_error(reference: Reference) -> str:
    newest = tombstones(reference).filter(state=State.SET_ASIDE).order_by("-due_at").first()
    return newest.error if newest else ""
