"""The owners that have replicas, and these, as rows to look at: what this process knows about each server."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connections

from switchyard.routing.monitor import monitor
from switchyard.routing.topology.ownership import replicas_of
from switchyard.routing.topology.replication import replication_set

FIT = "fit"
NO_LAG = "no lag"  # a replica that shows every row of its owner at once: a file's


@dataclass(frozen=True)
class ServerReport:
    """One server; what is not known, or what its vendor does not count, is None."""

    alias: str
    replica_of: str | None
    state: str  # `fit`, or why it is not read; of an owner, why it must not be written
    position: str | None
    lag_seconds: float | None
    lag_bytes: int | None
    age_seconds: float | None  # of its newest answer

    @property
    def fit(self) -> bool:
        """Tell whether it does its part."""
        return self.state in {FIT, NO_LAG}

    @property
    def known(self) -> bool:
        """Tell whether the server has answered, or why it has not."""
        return self.position is not None or self.state != FIT


def server_reports() -> list[ServerReport]:
    """Return every owner that has replicas, each followed by these, as far as is known now."""
    return [server for owner in connections if replicas_of(owner) for server in _of(owner, time.monotonic())]


def _of(owner: str, now: float) -> Iterator[ServerReport]:
    group = replication_set(owner)
    ages = {
        asker.alias: now - asker.last_sample.begun_at for asker in monitor.probes() if asker.last_sample is not None
    }
    written = group.snapshot.owner_sample.status.position if group.snapshot.owner_sample else None
    fit = NO_LAG if group.snapshot.lag_free else FIT
    yield ServerReport(
        alias=owner,
        replica_of=None,
        state=group.snapshot.unavailable_reason or fit,
        position=written.text() if written else None,
        lag_seconds=None,
        lag_bytes=None,
        age_seconds=ages.get(owner),
    )
    for replica in group.snapshot.replicas:
        yield ServerReport(
            alias=replica.alias,
            replica_of=owner,
            state=replica.unfit_reason or fit,
            position=replica.position.text() if replica.position else None,
            lag_seconds=replica.lag_seconds if replica.fit or replica.unfit_reason == "lagging" else None,
            lag_bytes=replica.lag_bytes,
            age_seconds=ages.get(replica.alias),
        )
