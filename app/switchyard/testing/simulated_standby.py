"""A replica that is the database of its owner and lags for the routing only: a mirror, or an SQLite file.

The positions are times: the owner's position is the time of its last write, and a replica has replayed all writes up to
a time. The monitor does not run here; this module publishes the snapshots in its place.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import NamedTuple, Self, cast

from switchyard.positions import Position, ServerStatus
from switchyard.positions.postgresql import Lsn
from switchyard.routing.connections import calls
from switchyard.routing.monitor.probes.volatile_functions import may_write
from switchyard.routing.topology.replication import ReplicationSet, Sample
from switchyard.sql.classifier import Statement


class DelayedPosition(NamedTuple):
    """The position of a replica that has replayed everything older than so many seconds, at any moment."""

    seconds: float

    def includes(self, other: Position) -> bool:
        return _position_after(-self.seconds).includes(other)

    def bytes_behind(self, other: Position) -> int | None:
        return None

    def different_system(self, other: Position) -> bool:
        return False

    def superseded_by(self, other: Position) -> bool:
        return False

    def after(self, earlier: Position) -> Self:
        return self

    def text(self) -> str:
        return _position_after(-self.seconds).text()

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(float(text))


_CAUGHT_UP = DelayedPosition(0.0)


class SimulatedStandby:
    """One replica, with the lag that a test asks for."""

    def __init__(self, alias: str, group: ReplicationSet) -> None:
        self._alias = alias
        self._group = group

    def pause(self) -> None:
        """Replay no later write."""
        self._publish(_position_after(0.0))

    def delay(self, seconds: float) -> None:
        """Replay each write so many seconds later."""
        self._publish(DelayedPosition(seconds))

    def catch_up(self) -> None:
        """Replay each write at once."""
        self._publish(_CAUGHT_UP)

    def _publish(self, position: Position) -> None:
        replicas = [
            each._replace(position=position) if each.alias == self._alias else each
            for each in self._group.snapshot.replicas
        ]
        self._group.replace_snapshot(replicas)
        self._group.replace_snapshot(lag_free=all(each.position == _CAUGHT_UP for each in replicas))


class _OwnerSample(calls.CallObserver):
    """The newest sample of the owner, and the observer that moves its position with each write."""

    begun_at = inf  # the sample includes every write at once

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._written = _position_after(0.0)

    @property
    def status(self) -> ServerStatus:
        return ServerStatus("simulated", is_standby=False, writable=True, position=self._written)

    def call_ended(
        self, alias: str, vendor: str, statement: Statement, seconds: float, error: BaseException | None
    ) -> None:
        """Move the position if the call may have written on the owner."""
        if alias == self._alias and may_write(statement, alias):
            self._written = _position_after(0.0)


@contextmanager
def simulating(group: ReplicationSet) -> Iterator[None]:
    """Give the owner and its replicas simulated positions inside the block; every replica begins caught up."""
    owner = _OwnerSample(group.owner)
    group.replace_snapshot(owner_sample=cast(Sample, owner))
    group.replace_snapshot(each._replace(position=_CAUGHT_UP) for each in group.snapshot.replicas)
    calls.add_observer(owner)
    try:
        yield
    finally:
        calls.remove_observer(owner)
        group.reset()
        group.detect_shared_storage()


def _position_after(seconds: float) -> Lsn:
    """Return the position of a write that many seconds after now."""
    return Lsn("simulated", 1, int((time.monotonic() + seconds) * 1e6))
