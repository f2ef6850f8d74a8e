"""One replica under watch: what is known about its first server, and about the others behind its alias."""

from collections.abc import Mapping
from math import inf

from django.db import connections

from switchyard.conf import conf
from switchyard.positions import Position
from switchyard.routing.monitor.lag import History
from switchyard.routing.monitor.probes.discovery import ServerDiscovery
from switchyard.routing.monitor.probes.probe import ServerProbe, ping
from switchyard.routing.monitor.probes.recorded_migrations import ReplicaMigrations
from switchyard.routing.topology.direct import DIRECT
from switchyard.routing.topology.replication import Replica, Sample

# Another server than the expected replica answers at the address.
OTHER_SERVER = frozenset({"promoted", "other_system", "superseded"})


class ReplicaWatch:
    """One replica: its probe, the other servers behind its alias, and the failures that queries reported."""

    def __init__(self, alias: str, owner: str) -> None:
        self.alias = alias
        self.probe = ServerProbe(alias, extra_check=ReplicaMigrations(owner))
        self.pooler = pooler_probe(alias)
        self.discovery = ServerDiscovery(alias, self.probe, lambda: ReplicaMigrations(owner))
        # Server, empty if it is unknown -> time.monotonic() of its last failed query, and the reason.
        self.reported_failures: dict[str, tuple[float, str]] = {}

    def evaluate(
        self,
        probe: ServerProbe,
        owner: Sample | None,
        history: History,
        *,
        before: Mapping[str, Replica],
        now: float,
        lag_now: float,
    ) -> Replica:
        """Return what is known about the probed server. `lag_now` stands still while the owner does not answer.

        `before` is what was known about each server.
        """
        sample = probe.last_sample
        position = _position(sample, before) if sample else None
        if probe.hangs(now) or (self.pooler and (self.pooler.error or self.pooler.hangs(now))):
            return Replica(self.alias, "down", position)
        if probe.error:
            return Replica(self.alias, probe.error if probe.error == "unmigrated" else "down", position)
        for server in ("", sample.status.server_id if sample else ""):
            failed_at, reason = self.reported_failures.get(server, (-inf, ""))
            if reason and (sample is None or sample.begun_at <= failed_at):
                return Replica(self.alias, reason, position)
        if sample is None:
            return Replica(self.alias)
        written = owner.status.position if owner else None
        if position is None or (reason := _other_server_reason(sample, position, written)):
            return Replica(self.alias, "empty" if position is None else reason, sample.status.replayed)
        lag_seconds = history.lag_seconds(position, probed_at=sample.begun_at, now=lag_now)
        server = sample.status.server_id
        if not self.discovery.admits(server, position, owner, owner_unavailable=lag_now < now, now=now):
            reason = "unverified"
        else:
            reason = "lagging" if lag_seconds > conf.max_lag_seconds_of(self.alias) else ""
        return Replica(self.alias, reason, position, lag_seconds, position.bytes_behind(written) if written else None)

    def hangs(self, now: float) -> bool:
        """Return True if the replica, or the pooler in front of it, does not answer."""
        return any(probe.hangs(now) for probe in (self.probe, self.pooler) if probe)


def pooler_probe(alias: str) -> ServerProbe | None:
    """Return a probe of the pooler in front of the alias, whose server has another probe; None without a pooler."""
    return ServerProbe(alias, ask=ping, through_pooler=True) if connections.settings[alias].get(DIRECT) else None


def _position(sample: Sample, before: Mapping[str, Replica]) -> Position | None:
    """Return the server's position with what was known of it before, perhaps by another probe."""
    position, known = sample.status.position, before.get(sample.status.server_id)
    if position is None or known is None or known.position is None:
        return position
    return position.after(known.position)


def _other_server_reason(sample: Sample, position: Position, written: Position | None) -> str:
    """Return why the rows of the server are not the owner's, though the server answers; empty if they are."""
    if not sample.status.is_standby:
        return "promoted"
    if written is None:
        return ""
    if position.different_system(written):
        return "other_system"
    return "superseded" if position.superseded_by(written) else ""
