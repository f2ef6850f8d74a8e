"""How far a replica is behind its owner, by the owner's own samples: no clock of another machine is asked."""

from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

from switchyard.positions import Position

_MOST = 1024  # samples kept; beyond, every other one is dropped, and the lag is as much coarser


class WrittenPosition(NamedTuple):
    """A position of the owner, and when it was first sampled."""

    sampled_at: float
    position: Position


class History:
    """The owner's positions that some replica has not replayed, oldest first."""

    def __init__(self) -> None:
        self._written: list[WrittenPosition] = []

    def add(self, at: float, position: Position) -> None:
        """Add a sample. One that cannot follow the last, of another system or set back, begins a new history."""
        last = self._written[-1].position if self._written else None
        if last is not None and not position.includes(last):
            self._written.clear()
        elif last is not None and last.includes(position):
            return
        self._written.append(WrittenPosition(at, position))
        if len(self._written) > _MOST:
            del self._written[1:-1:2]

    def lag_seconds(self, replayed: Position, *, asked_at: float, now: float) -> float:
        """Return the seconds since the oldest sample that is not replayed, 0 when all before `asked_at` are.

        A sample taken after the replica was asked says nothing about it.
        """
        place = bisect_left(self._written, True, key=lambda written: not replayed.includes(written.position))
        if place == len(self._written) or self._written[place].sampled_at >= asked_at:
            return 0.0
        return now - self._written[place].sampled_at

    def discard_replayed(self, replayed: Iterable[Position]) -> None:
        """Drop what all of these have replayed, but for the newest sample."""
        positions = list(replayed)
        while len(self._written) > 1 and all(each.includes(self._written[0].position) for each in positions):
            del self._written[0]
