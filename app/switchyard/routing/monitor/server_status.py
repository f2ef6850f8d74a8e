"""Report what this process knows about the servers of owners and replicas, for commands, console and metrics."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connections

from switchyard.routing.monitor import monitor
from switchyard.routing.topology.ownership import replicas_of, replicated_by
from switchyard.routing.topology.replication import replication_set

FIT = "fit"
NO_LAG = "no lag"  # the replica shows each row of its owner at once: an SQLite file, a mirror in tests


@dataclass(frozen=True)
class ServerReport:
    """The state of one alias. A value that is unknown, or that its vendor does not count, is None."""

    alias: str
    replica_of: str | None
    state: str  # `fit`, `no lag`, or the reason why a replica is not read or an owner must not be written
    position: str | None
    lag_seconds: float | None
    lag_bytes: int | None
    age_seconds: float | None  # of the newest sample
    answer_seconds: float | None  # which the last answer to a probe took
    error: str  # the class of the driver's error, if the last probe failed

    @property
    def fit(self) -> bool:
        """Return True if a replica may be read, or an owner written."""
        return self.state in {FIT, NO_LAG}

    @property
    def known(self) -> bool:
        """Return True if the server has answered, or the reason of its silence is known."""
        return self.position is not None or self.state != FIT


def answers(alias: str) -> bool | None:
    """Return True if the server of the alias answers its probes, False if it is down. No query.

    None means that this process does not watch the alias, or has no answer of its server yet.
    """
    probe = next((each for each in monitor.probes() if each.alias == alias), None)
    if probe is None:
        return None
    owner = replicated_by(alias)
    snapshot = replication_set(owner or alias).snapshot
    unfit_reasons = {replica.alias: replica.unfit_reason for replica in snapshot.replicas}
    if (unfit_reasons[alias] if owner else snapshot.unavailable_reason) == "down":
        return False
    return None if probe.last_sample is None else True


def server_reports() -> list[ServerReport]:
    """Return a report of every owner with replicas, followed by the reports of its replicas. No query."""
    return [report for owner in connections if replicas_of(owner) for report in reports_of(owner)]


def reports_of(owner: str) -> Iterator[ServerReport]:
    """Yield the report of the owner, and of each of its replicas. No query."""
    now, snapshot = time.monotonic(), replication_set(owner).snapshot
    probes = {probe.alias: probe.state for probe in reversed(list(monitor.probes()))}  # the server's, not its pooler's

    def answers_of(alias: str) -> dict[str, Any]:
        state = probes.get(alias)
        sample = state.sample if state else None
        return {
            "age_seconds": now - sample.begun_at if sample else None,
            "answer_seconds": state.seconds if state else None,
            "error": state.error.partition(" ")[0] if state else "",
        }

    written = snapshot.owner_sample.status.position if snapshot.owner_sample else None
    fit = NO_LAG if snapshot.lag_free else FIT
    yield ServerReport(
        alias=owner,
        replica_of=None,
        state=snapshot.unavailable_reason or fit,
        position=written.text() if written else None,
        lag_seconds=None,
        lag_bytes=None,
        **answers_of(owner),
    )
    for replica in snapshot.replicas:
        yield ServerReport(
            alias=replica.alias,
            replica_of=owner,
            state=replica.unfit_reason or fit,
            position=replica.position.text() if replica.position else None,
            lag_seconds=replica.lag_seconds if replica.fit or replica.unfit_reason == "lagging" else None,
            lag_bytes=replica.lag_bytes,
            **answers_of(replica.alias),
        )
