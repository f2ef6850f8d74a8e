"""One owner and its replicas under watch: what the probes found becomes the published snapshot.

An owner without replicas is watched as well: while its server does not answer, nothing waits for it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from math import inf

from switchyard.positions import Position
from switchyard.routing.monitor import sockets
from switchyard.routing.monitor.lag import History
from switchyard.routing.monitor.pools import reset_pool
from switchyard.routing.monitor.probes.probe import PROBE_INTERVAL_SECONDS, ProbeState, ServerProbe, ping
from switchyard.routing.monitor.probes.recorded_migrations import PendingMigrations
from switchyard.routing.monitor.probes.volatile_functions import VolatilityLoader
from switchyard.routing.monitor.replica_watch import OTHER_SERVER, ReplicaWatch, pooler_probe
from switchyard.routing.monitor.waits import waits_for
from switchyard.routing.topology.ownership import replicas_of
from switchyard.routing.topology.replication import Replica, ReplicationSet, Sample, Shutdown

logger = logging.getLogger(__name__)

# Silence of an owner before half of the threads may wait for it at most.
OWNER_LATE_SECONDS = 0.3
# Silence of an owner before its connections are shut down. With the interval of the probes and of the evaluations, a
# hang is known after 0.75 to 1.1 seconds.
OWNER_TIMEOUT_SECONDS = 0.75


def _standing_for(first: Replica, others: Iterable[Replica], *, hangs: bool) -> Replica:
    """Return the replica of the alias' first server, or of a fit server of the alias if the first is unfit.

    A new connection to a server that hangs would hang as well, so the alias is then down.
    """
    if first.fit or hangs:
        return first
    return next((each for each in others if each.alias == first.alias and each.fit), first)


class OwnerWatch:
    """One owner and its replicas. `clock` is `time.monotonic` outside tests."""

    def __init__(self, group: ReplicationSet, clock: Callable[[], float] = time.monotonic) -> None:
        self.group = group
        self.replicas = [ReplicaWatch(alias, group.owner) for alias in replicas_of(group.owner)]
        self.pending = PendingMigrations(group.owner)
        load_functions = VolatilityLoader(group.owner)
        self.probe = (
            ServerProbe(group.owner, extra_check=lambda cursor: load_functions(cursor) or self.pending(cursor))
            if self.replicas
            else ServerProbe(group.owner, ask=ping, extra_check=self.pending)
        )
        self._pooler = pooler_probe(group.owner)
        self._clock = clock
        self._history = History()
        self._newest: Position | None = None  # the furthest position of any server that answered as the owner
        self._answered_at = clock()
        self._waits = waits_for(group.owner)
        self._calls_answered = self._waits.answered
        self._call_answered_at = -inf  # time.monotonic()
        self._seen_shutdown: Shutdown | None = None  # by another process that asked for this one
        self._lock = threading.Lock()

    def probes(self) -> Iterator[ServerProbe]:
        """Yield the probe of the owner, then the probe of each replica, then the probes of their poolers."""
        yield self.probe
        yield from (watch.probe for watch in self.replicas)
        yield from filter(None, (self._pooler, *(watch.pooler for watch in self.replicas)))

    def start(self) -> None:
        """Let all probes run."""
        with self._lock:
            for probe in self.probes():
                probe.start()
            for watch in self.replicas:
                watch.discovery.start()

    def states(self) -> dict[str, ProbeState]:
        """Return the state of each probe, for `take()` in another process."""
        with self._lock:
            found = {str(number): probe.state for number, probe in enumerate(self.probes())}
            for watch in self.replicas:
                found |= {f"{watch.alias}/{number}": state for number, state in enumerate(watch.discovery.states())}
            return found

    def take(self, states: Mapping[str, ProbeState], shutdown: Shutdown | None) -> bool:
        """Have the probes of another process. Return True if a connection leads to a new server without a probe.

        `shutdown` is what that process knows of the owner's shutdown: it has seen its times.
        """
        with self._lock:
            self._seen_shutdown = shutdown
            for number, probe in enumerate(self.probes()):
                probe.take(states[str(number)])
            by_alias = [
                [state for name, state in states.items() if name.startswith(f"{watch.alias}/")]
                for watch in self.replicas
            ]
            news = [watch.discovery.take(found) for watch, found in zip(self.replicas, by_alias, strict=True)]
            return any(news)

    def look_again(self) -> None:
        """Probe the owner over a new connection, and search for servers behind the replicas' aliases at once."""
        self.probe.reconnect()
        for watch in self.replicas:
            watch.discovery.search_soon()

    def evaluate(self) -> None:
        """Re-evaluate all servers and replace the published snapshot."""
        with self._lock:
            self._evaluate(self._clock())

    def forgive(self, seconds: float) -> None:
        """Leave these seconds out of the age of all running probes: this process did not run."""
        for probe in self.probes():
            probe.forgive(seconds, self._clock())

    def discover(self) -> None:
        """Look for other servers behind the replicas' aliases."""
        with self._lock:
            for watch in self.replicas:
                watch.discovery.discover(self._clock())

    def pause(self) -> None:
        """Ask no server until `start()`: another process asks them."""
        with self._lock:
            for probe in self.probes():
                probe.pause()
            for watch in self.replicas:
                watch.discovery.pause()

    def stop(self) -> None:
        """Let all probing threads end."""
        with self._lock:
            for probe in self.probes():
                probe.stop()
            for watch in self.replicas:
                watch.discovery.stop()

    def _evaluate(self, now: float) -> None:
        before = self.group.snapshot
        sample = self.probe.last_sample
        self._note_answered_calls(now)
        unavailable_reason = self._unavailable_reason(now, sample)
        answers_late = not unavailable_reason and self._silent_seconds(now) > OWNER_LATE_SECONDS
        owner_sample = before.owner_sample
        if not unavailable_reason and sample is not None:
            self._answered_at = now
            if sample is not owner_sample:
                owner_sample = sample
                self._keep(sample)
        lag_now = now if not unavailable_reason else self._answered_at
        evaluate = partial(
            ReplicaWatch.evaluate,
            owner=owner_sample,
            history=self._history,
            before=before.by_server,
            now=now,
            lag_now=lag_now,
        )
        first = [evaluate(watch, watch.probe) for watch in self.replicas]
        by_server = {
            server: evaluate(watch, probe) for watch in self.replicas for server, probe in watch.discovery.probes()
        }
        shutdown = self._shutdown(before.shutdown, owner_sample, by_server.values(), now)
        unprobed = [watch.discovery.update() for watch in self.replicas]
        replicas = [
            _standing_for(replica, by_server.values(), hangs=watch.hangs(now))
            for watch, replica in zip(self.replicas, first, strict=True)
        ]
        self._shut_down_lost_servers(replicas, by_server, now)
        if before.unavailable_reason and not unavailable_reason:
            reset_pool(self.group.owner)  # before anybody connects to the owner again
        self.group.replace_snapshot(
            replicas,
            owner_sample=owner_sample,
            unavailable_reason=unavailable_reason,
            shutdown=shutdown,
            answers_late=answers_late,
            by_server=by_server,
            has_unprobed_servers=any(unprobed),
        )
        old = {replica.alias: replica for replica in before.replicas}
        for watch, replica in zip(self.replicas, replicas, strict=True):
            self._report_change(old[replica.alias], replica, hangs=watch.hangs(now))
            if replica.unfit_reason in OTHER_SERVER:
                watch.probe.reconnect()  # the address may lead to the right server again; this connection does not
        known = (*replicas, *by_server.values())
        self._history.discard_replayed(replica.position for replica in known if replica.position is not None)
        if unavailable_reason not in {"", "down"}:
            self.probe.reconnect()  # as above
        if unavailable_reason != before.unavailable_reason:
            self._report_owner(unavailable_reason)
        if answers_late and (ended := self._waits.end_beyond_share()):
            logger.warning("Owner '%s' answers late: %d calls beyond its share ended.", self.group.owner, ended)

    def _note_answered_calls(self, now: float) -> None:
        if self._waits.answered != self._calls_answered:
            self._calls_answered, self._call_answered_at = self._waits.answered, now

    def _silent_seconds(self, now: float) -> float:
        """Return the age of the running probe, or of the newest answer to a call: a busy server may answer calls."""
        pending_seconds = max(probe.pending_seconds(now) for probe in (self.probe, self._pooler) if probe)
        return min(pending_seconds, now - self._call_answered_at)

    def _keep(self, sample: Sample) -> None:
        if (position := sample.status.position) is not None:
            self._newest = position
            self._history.add(sample.begun_at, position)

    def _unavailable_reason(self, now: float, sample: Sample | None) -> str:
        """Return why the owner must not be written now; empty if it may be written."""
        if self._silent_seconds(now) > OWNER_TIMEOUT_SECONDS:
            return "down"
        # A server that is full refuses the connection of the probe, and answers the connections of the requests.
        error = self.probe.error or (self._pooler and self._pooler.error)
        if error and now - self._call_answered_at > PROBE_INTERVAL_SECONDS:
            return "down"
        if sample is None:
            return ""
        if sample.status.is_standby:
            before = self.group.snapshot.owner_sample
            # MySQL says only that it is read-only: the server that took writes here before is still the owner.
            is_same = before is not None and before.status.server_id == sample.status.server_id
            return "read_only" if is_same else "standby"
        if not sample.status.writable:
            return "read_only"
        position = sample.status.position
        is_superseded = position is not None and self._newest is not None and position.superseded_by(self._newest)
        return "superseded" if is_superseded else ""

    def _shutdown(
        self, before: Shutdown | None, owner: Sample | None, replicas: Iterable[Replica], now: float
    ) -> Shutdown | None:
        if not self.probe.shut_down:
            self._seen_shutdown = None
            return None
        seen = self._seen_shutdown
        known = seen if seen is not None and seen.position is not None else before or seen or Shutdown(now)
        return known.seen(replicas, owner.status.position if owner else None, now)

    def _shut_down_lost_servers(
        self, replicas: Iterable[Replica], by_server: Mapping[str, Replica], now: float
    ) -> None:
        """Shut down the connections to each server that a fit alias has lost: it hangs now, or is no replica now.

        `_report_change()` shuts down all connections of an alias that becomes unfit.
        """
        for watch, replica in zip(self.replicas, replicas, strict=True):
            for server, probe in watch.discovery.probes():
                known = self.group.snapshot.by_server.get(server)
                hangs = probe is not watch.probe and probe.hangs(now)
                is_lost = hangs or (replica.fit and by_server[server].unfit_reason in OTHER_SERVER)
                if is_lost and known is not None and known.fit:
                    sockets.shutdown(watch.alias, server)

    def _report_owner(self, reason: str) -> None:
        if reason:
            closed = sockets.shutdown(self.group.owner)
            logger.error(
                "Owner '%s' must not be written (%s): %d connections shut down.", self.group.owner, reason, closed
            )
        else:
            logger.warning("Owner '%s' may be written again.", self.group.owner)

    def _report_change(self, before: Replica, after: Replica, *, hangs: bool) -> None:
        if before.unfit_reason == after.unfit_reason:
            return
        if after.fit:
            if before.unfit_reason not in {"lagging", "conflict"}:  # with these the pool's connections stay good
                reset_pool(after.alias)
            logger.info("Replica '%s' is fit again.", after.alias)
            return
        # A thread that waits for a hung server waits for ever. With other reasons the running reads may end.
        if hangs or after.unfit_reason in OTHER_SERVER:
            sockets.shutdown(after.alias)
        logger.warning("Replica '%s' is unfit (%s): its reads go elsewhere.", after.alias, after.unfit_reason)
