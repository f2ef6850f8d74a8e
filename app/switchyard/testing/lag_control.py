"""Replicas that lag on demand, in tests: `with replica_lag() as lag: lag.pause(); ...; lag.catch_up()`.

On a real replica the server itself is told (standby.py), and its rows are as old as they look. A mirror, or a SQLite
file, is its owner's database: there the lag is routing's alone. What was written after `pause()` is owed, and whoever
owes it reads the owner, until `catch_up()`; who owes nothing reads the replica, whose rows are never old, and no lag
makes it unfit (MAX_LAG_SECONDS).
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import inf
from typing import NamedTuple, Self, cast

from django.db import connections

from switchyard.positions import Position, ServerStatus
from switchyard.positions.postgresql import Lsn
from switchyard.routing.connections import calls
from switchyard.routing.monitor import monitor
from switchyard.routing.monitor.volatile_functions import may_write
from switchyard.routing.session.context import activate, task_context
from switchyard.routing.topology.ownership import replicated_by
from switchyard.routing.topology.replication import (
    SHARES_CONNECTION_OF,
    ReplicationSet,
    Sample,
    replication_set,
    supports_positions,
)
from switchyard.sql.classifier import Statement
from switchyard.testing.standby import Standby


class ReplicaLag:
    """Makes replicas lag, until the block of `replica_lag()` ends."""

    def __init__(self, ends: ExitStack) -> None:
        self._ends = ends
        self._held: dict[str, Standby | Simulated] = {}

    def pause(self, alias: str = "replica") -> None:
        """Let the replica replay nothing more."""
        self._of(alias).pause()

    def delay(self, seconds: float, alias: str = "replica") -> None:
        """Let the replica replay what is committed that much later; MySQL and MariaDB know whole seconds only."""
        self._of(alias).delay(seconds)

    def catch_up(self, alias: str = "replica") -> None:
        """Let the replica replay all there is, and go on doing so; return when it is known to have."""
        self._of(alias).catch_up()

    def _of(self, alias: str) -> "Standby | Simulated":
        if alias not in self._held:
            owner = replicated_by(alias)
            if owner is None:
                raise ValueError(f"'{alias}' is no replica, so it cannot lag: name one of SWITCHYARD['REPLICAS'].")
            self._held[alias] = self._real(alias, owner) if _is_real(alias, owner) else self._simulated(alias, owner)
        return self._held[alias]

    def _real(self, alias: str, owner: str) -> Standby:
        if not monitor.running():
            monitor.start()
            self._ends.callback(monitor.stop)
        standby = Standby(alias, owner)
        self._ends.callback(standby.restore)
        return standby

    def _simulated(self, alias: str, owner: str) -> "Simulated":
        group = replication_set(owner)
        if group.snapshot.lag_free:
            self._ends.enter_context(_simulating(group))
        return Simulated(alias, group)


@contextmanager
def replica_lag() -> Iterator[ReplicaLag]:
    """Yield what makes replicas lag; after the block none does, and what it wrote is owed by nobody."""
    with activate(task_context()), ExitStack() as ends:
        yield ReplicaLag(ends)


def _is_real(alias: str, owner: str) -> bool:
    return supports_positions(owner) and SHARES_CONNECTION_OF not in connections.settings[alias]


class Late(NamedTuple):
    """The position of a replica that always shows what was there so many seconds ago."""

    seconds: float

    def includes(self, other: Position) -> bool:
        return _now(-self.seconds).includes(other)

    def bytes_behind(self, other: Position) -> int | None:
        return None

    def different_system(self, other: Position) -> bool:
        return False

    def superseded_by(self, other: Position) -> bool:
        return False

    def text(self) -> str:
        return _now(-self.seconds).text()

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(float(text))


_IN_STEP = Late(0.0)


class Simulated:
    """A replica that is its owner's database, and as far behind as is said here."""

    def __init__(self, alias: str, group: ReplicationSet) -> None:
        self._alias = alias
        self._group = group

    def pause(self) -> None:
        """Show nothing that is written from now on."""
        self._publish(_now())

    def delay(self, seconds: float) -> None:
        """Show what is written that much later."""
        self._publish(Late(seconds))

    def catch_up(self) -> None:
        """Show everything."""
        self._publish(_IN_STEP)

    def _publish(self, position: Position) -> None:
        self._group.replace_snapshot(
            each._replace(position=position) if each.alias == self._alias else each
            for each in self._group.snapshot.replicas
        )
        self._group.replace_snapshot(lag_free=all(each.position == _IN_STEP for each in self._group.snapshot.replicas))


class _Owner:
    """The owner of simulated replicas, as its own sample: its position is the time of the last write."""

    begun_at = inf  # every write is known at once

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._written = _now()

    @property
    def status(self) -> ServerStatus:
        return ServerStatus("simulated", is_standby=False, writable=True, position=self._written)

    def call_began(self, alias: str, vendor: str, statement: Statement) -> None:
        """Do nothing: a call has written when it ends."""

    def call_ended(
        self, alias: str, vendor: str, statement: Statement, seconds: float, error: BaseException | None
    ) -> None:
        """Move the position if the owner may have written."""
        if alias == self._alias and may_write(statement, alias):
            self._written = _now()


@contextmanager
def _simulating(group: ReplicationSet) -> Iterator[None]:
    owner = _Owner(group.owner)
    group.replace_snapshot(owner_sample=cast(Sample, owner))
    group.replace_snapshot(each._replace(position=_IN_STEP) for each in group.snapshot.replicas)
    calls.add_observer(owner)
    try:
        yield
    finally:
        calls.remove_observer(owner)
        group.reset()
        group.detect_shared_storage()


def _now(seconds: float = 0.0) -> Lsn:
    return Lsn("simulated", 1, int((time.monotonic() + seconds) * 1e6))
