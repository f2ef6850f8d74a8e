"""How many tombstones of a reference there are, by state. Reads the owner of the parents, and changes nothing."""

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Count, Min
from django.utils import timezone

from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.tombstones import State
from switchyard.crossdb.references.unknown import UnknownReference
from switchyard.crossdb.references.worker.claims import tombstones


@dataclass(frozen=True)
class Backlog:
    """The tombstones of one reference. `handled` are those that are kept for children that come later."""

    waiting: int = 0
    set_aside: int = 0
    handled: int = 0
    oldest_age_seconds: float = 0.0  # of those that wait; 0 if none waits


def backlog(reference: Reference | UnknownReference, states: Collection[State] = tuple(State)) -> Backlog:
    """Return the number of tombstones in these states; other states count as 0.

    One query, by the index on reference, state and time. Raises Error of Django if the owner cannot be read.
    """
    counted = (
        tombstones(reference).filter(state__in=states).values_list("state").annotate(Count("pk"), Min("deleted_at"))
    )
    found = {State(state): (number, oldest_at) for state, number, oldest_at in counted}
    _, oldest_at = found.get(State.WAITING, (0, None))
    return Backlog(
        **{state.name.lower(): number for state, (number, _) in found.items()},
        oldest_age_seconds=max((timezone.now() - oldest_at).total_seconds(), 0.0) if oldest_at else 0.0,
    )
