"""The order of the events of a soak, from its seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.soak.events import KINDS, Kind
from tests.soak.images import Migration


@dataclass(frozen=True)
class Planned:
    """An event to come: its kind, the alias of its migrations, and what each of its images brings."""

    kind: Kind
    alias: str

    @property
    def migrations(self) -> Sequence[Migration | None]:
        """The migration of each image that the event deploys."""
        return [None if pause is None else Migration(self.alias, pause) for pause in self.kind.pauses]


def planned(seed: int, *, small: bool) -> list[Planned]:
    """Return the events in their order. The first is an upgrade, so that a rollback has a revision to go back to."""
    events = [
        Planned(kind, kind.aliases[number % len(kind.aliases)])
        for kind in KINDS
        for number in range(kind.times_small if small else kind.times)
    ]
    Random(seed).shuffle(events)
    first = next(number for number, event in enumerate(events) if event.kind.name.startswith("upgrade: "))
    return [events.pop(first), *events]
