"""Snapshots of the servers of `default` that a test publishes in place of the monitor. No server is probed."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.test import override_settings

from switchyard.positions import Position, ServerStatus
from switchyard.positions.postgresql import Lsn
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition
from switchyard.routing.topology.replication import Replica, ReplicationSet, Sample, replication_set


@contextmanager
def lagging(*replicas: str) -> Iterator[ReplicationSet]:
    """Make these aliases lagging replicas of `default`, the owner of all apps; yield their replication set.

    Nothing is known about the replicas at first: they are fit, and have no position.
    """
    with override_settings(SWITCHYARD={"OWNERS": {"*": "default"}, "REPLICAS": {"default": list(replicas)}}):
        group = replication_set("default")
        group.replace_snapshot(lag_free=False)
        yield group


@contextmanager
def published(owner: str = "default", **changes: Any) -> Iterator[ReplicationSet]:
    """Publish a snapshot with these changes for this block, and the earlier snapshot after it."""
    group = replication_set(owner)
    before = group.snapshot
    group.replace_snapshot(**changes)
    try:
        yield group
    finally:
        group.snapshot = before


def at(lsn: int, *, system: str = "1", timeline: int = 1) -> Lsn:
    """Return a position, by default in the system and timeline of all tests."""
    return Lsn(system, timeline, lsn)


def replayed(group: ReplicationSet, *, unfit: tuple[str, ...] = (), **replicas: int) -> None:
    """Publish the replayed LSN of each replica, the preferred replica first: each later replica lags 1 ms more."""
    group.replace_snapshot(
        Replica(alias, "down" if alias in unfit else "", at(lsn), lag_seconds=index / 1000)
        for index, (alias, lsn) in enumerate(replicas.items())
    )


def sampled(group: ReplicationSet, lsn: int, begun_at: float | None = None) -> None:
    """Publish a sample of the owner with this LSN, by default a sample that begins now."""
    status = ServerStatus("owner", is_standby=False, writable=True, position=at(lsn))
    group.replace_snapshot(owner_sample=Sample(time.monotonic() if begun_at is None else begun_at, status))


def consistency_from(
    required: Mapping[str, Position | PendingPosition], last_replica: Mapping[str, str] | None = None
) -> ConsistencyState:
    """Return the state for required positions and replicas read last, by owner."""
    consistency = ConsistencyState()
    consistency.required.update(required)
    consistency.last_replica.update(last_replica or {})
    return consistency
