"""What the refresher publishes about the servers of `default`, said by a test: no server is asked."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.test import override_settings

from switchyard.positions import ServerStatus
from switchyard.positions.postgresql import Lsn
from switchyard.routing.topology.replication import Replica, ReplicationSet, Sample, replication_set


@contextmanager
def lagging(*replicas: str) -> Iterator[ReplicationSet]:
    """Let these be replicas that lag, of the owner `default` of all apps; nothing is known about them yet."""
    with override_settings(SWITCHYARD={"OWNERS": {"*": "default"}, "REPLICAS": {"default": list(replicas)}}):
        group = replication_set("default")
        group.replace_snapshot(lag_free=False)
        yield group


@contextmanager
def published(owner: str = "default", **changes: Any) -> Iterator[ReplicationSet]:
    """Publish these changes in this block, and the snapshot before them after it."""
    group = replication_set(owner)
    before = group.snapshot
    group.replace_snapshot(**changes)
    try:
        yield group
    finally:
        group.snapshot = before


def at(lsn: int, *, system: str = "1", timeline: int = 1) -> Lsn:
    """Return a position."""
    return Lsn(system, timeline, lsn)


def replayed(group: ReplicationSet, *, unfit: tuple[str, ...] = (), **replicas: int) -> None:
    """Publish how far each replica is known to have come, the best first: each lags a little more than those before."""
    group.replace_snapshot(
        Replica(alias, "down" if alias in unfit else "", at(lsn), lag_seconds=place / 1000)
        for place, (alias, lsn) in enumerate(replicas.items())
    )


def sampled(group: ReplicationSet, lsn: int, begun_at: float | None = None) -> None:
    """Publish how far the owner had come when it was asked."""
    answer = ServerStatus("owner", is_standby=False, writable=True, position=at(lsn))
    group.replace_snapshot(owner_sample=Sample(time.monotonic() if begun_at is None else begun_at, answer))
