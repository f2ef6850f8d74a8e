"""The lag of a replica, from the times at which this process sampled its owner's positions.

All times are `time.monotonic()` of this process: the clocks of the servers do not matter.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

from switchyard.positions import Position

_MAX_SAMPLES = 1024  # with more, every other sample is dropped: the lag becomes coarser


class WrittenPosition(NamedTuple):
    """A position of the owner, and the time of the first sample with it."""

    sampled_at: float
    position: Position


class History:
    """The sampled positions of an owner that at least one replica has not replayed, the oldest first."""

    def __init__(self) -> None:
        self._written: list[WrittenPosition] = []

    def add(self, sampled_at: float, position: Position) -> None:
        """Add a sample. A position of another system, or before the last position, begins a new history."""
        last = self._written[-1].position if self._written else None
        if last is not None and not position.includes(last):
            self._written.clear()
        elif last is not None and last.includes(position):
            return
        self._written.append(WrittenPosition(sampled_at, position))
        if len(self._written) > _MAX_SAMPLES:
            del self._written[1:-1:2]

    def lag_seconds(self, replayed: Position, *, probed_at: float, now: float) -> float:
        """Return the seconds since the oldest sample that the replica has not replayed; 0 if it has replayed all.

        `probed_at` is the time at which the replica was asked. It cannot have replayed samples that are newer, so they
        do not count.
        """
        place = bisect_left(self._written, True, key=lambda written: not replayed.includes(written.position))
        if place == len(self._written) or self._written[place].sampled_at >= probed_at:
            return 0.0
        return now - self._written[place].sampled_at

    def discard_replayed(self, replayed: Iterable[Position]) -> None:
        """Drop the samples that all of these positions include, except the newest sample."""
        positions = list(replayed)
        while len(self._written) > 1 and all(each.includes(self._written[0].position) for each in positions):
            del self._written[0]
