"""Judge the servers beside the requests: ask all of them, publish what they say, open and close circuits.

One thread asks each server and may hang with it; one thread judges all answers and never waits for any.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial

from django.db import connections

from switchyard.conf import conf
from switchyard.positions import Position
from switchyard.routing.monitor import sockets
from switchyard.routing.monitor.discovery import Neighbours
from switchyard.routing.monitor.lag import History
from switchyard.routing.monitor.pools import renew
from switchyard.routing.monitor.probe import DEADLINE, Asker
from switchyard.routing.monitor.replica_migrations import Replayed
from switchyard.routing.monitor.volatile_functions import Harmless
from switchyard.routing.topology.ownership import replicas_of
from switchyard.routing.topology.replication import Replica, ReplicationSet, Sample, keeps_positions, set_of

logger = logging.getLogger(__name__)

ROUND = 0.1  # seconds from one judgement to the next
OWNER_DEADLINE = 1.2  # seconds that an owner may hang before its connections are cut: a stall is no loss
# What answers at the address is not the replica that was there.
_ANOTHER = frozenset({"promoted", "foreign", "superseded"})


class ReplicaWatch:
    """One replica: who asks it and other servers behind its alias, and what its queries reported."""

    def __init__(self, alias: str, owner: str) -> None:
        self.alias = alias
        self.asker = Asker(alias, after=Replayed(owner))
        self.neighbours = Neighbours(alias, self.asker, lambda: Replayed(owner))
        self.failed: tuple[float, str] | None = None  # a query's failure: when, and why

    def judge(self, asker: Asker, owner: Sample | None, history: History, *, now: float, clock: float) -> Replica:
        """Return what is known now of the asked server. `clock` stands still while the owner cannot be asked."""
        sample = asker.sample
        position = sample.answer.position if sample else None
        if asker.overdue(now) > DEADLINE:
            return Replica(self.alias, "down", position)
        if asker.fault:
            return Replica(self.alias, asker.fault if asker.fault == "unmigrated" else "down", position)
        if self.failed is not None and (sample is None or sample.begun_at <= self.failed[0]):
            return Replica(self.alias, self.failed[1], position)
        if sample is None:
            return Replica(self.alias)
        written = owner.answer.position if owner else None
        if position is None or (fault := _misplaced(sample, position, written)):
            return Replica(self.alias, "empty" if position is None else fault)
        lag = history.lag(position, asked_at=sample.begun_at, now=clock)
        server = sample.answer.server
        if not self.neighbours.lets_in(server, position, owner, refused=clock < now, now=now):
            reason = "new"
        else:
            reason = "lagging" if lag > conf.max_lag(self.alias) else ""
        return Replica(self.alias, reason, position, lag, position.distance(written) if written else None)


def _misplaced(sample: Sample, position: Position, written: Position | None) -> str:
    """Return why the server's rows are not the owner's, though it answers."""
    if not sample.answer.follows:
        return "promoted"
    if written is None:
        return ""
    return "foreign" if position.foreign_to(written) else "superseded" if position.superseded_by(written) else ""


class OwnerWatch:
    """One owner and its replicas."""

    def __init__(self, group: ReplicationSet) -> None:
        self.group = group
        self.asker = Asker(group.owner, after=Harmless(group.owner))
        self.replicas = [ReplicaWatch(alias, group.owner) for alias in replicas_of(group.owner)]
        self._history = History()
        self._newest: Position | None = None  # the furthest that any server said to be the owner has been
        self._answered_at = time.monotonic()
        self._lock = threading.Lock()

    def askers(self) -> Iterator[Asker]:
        """Yield who asks the owner, and who asks each replica."""
        yield self.asker
        yield from (watch.asker for watch in self.replicas)

    def judge(self) -> None:
        """Publish what the answers come to."""
        with self._lock:
            self._judge(time.monotonic())

    def seek(self) -> None:
        """Look for other servers behind the replicas' aliases."""
        with self._lock:
            for watch in self.replicas:
                watch.neighbours.seek(time.monotonic())

    def end(self) -> None:
        """Let all threads that ask end."""
        with self._lock:
            for asker in self.askers():
                asker.end()
            for watch in self.replicas:
                watch.neighbours.end()

    def _judge(self, now: float) -> None:
        sample = self.asker.sample
        refusal = self._refusal(now, sample)
        if not refusal and sample is not None:
            self._answered_at = now
            if sample is not self.group.sample:
                self._take(sample)
        clock = now if not refusal else self._answered_at
        before = {replica.alias: replica for replica in self.group.replicas}
        judged = partial(ReplicaWatch.judge, owner=self.group.sample, history=self._history, now=now, clock=clock)
        after = [judged(watch, watch.asker) for watch in self.replicas]
        behind = {
            server: judged(watch, asker) for watch in self.replicas for server, asker in watch.neighbours.askers()
        }
        strangers = [watch.neighbours.judge() for watch in self.replicas]
        self._sever_the_hung(now)
        self.group.publish(after, behind, strangers=any(strangers))
        for watch, replica in zip(self.replicas, after, strict=True):
            self._changed(before[replica.alias], replica, gone=watch.asker.overdue(now) > DEADLINE)
            if replica.reason in _ANOTHER:
                watch.asker.doubt()  # the address may lead to the right server again, and this connection would not
        known = (*after, *behind.values())
        self._history.forget(replica.position for replica in known if replica.position is not None)
        if refusal not in {"", "down"}:
            self.asker.doubt()  # as above
        if refusal != self.group.refusal:
            self._refuse(refusal)

    def _sever_the_hung(self, now: float) -> None:
        """Cut what leads to a server that hangs behind an alias whose first one does not."""
        for watch in self.replicas:
            for server, asker in watch.neighbours.askers():
                known = self.group.behind.get(server)
                if asker is not watch.asker and asker.overdue(now) > DEADLINE and known is not None and known.fit:
                    sockets.sever(watch.alias, server)

    def _take(self, sample: Sample) -> None:
        position = sample.answer.position
        self.group.sample = sample
        if position is not None:
            self._newest = position
            self._history.add(sample.begun_at, position)

    def _refusal(self, now: float, sample: Sample | None) -> str:
        if self.asker.overdue(now) > OWNER_DEADLINE or self.asker.fault:
            return "down"
        if sample is None:
            return ""
        if sample.answer.follows:
            before = self.group.sample
            # MySQL says no more than that it is read-only: the server that took writes here before is still the owner.
            return "read_only" if before is not None and before.answer.server == sample.answer.server else "standby"
        if not sample.answer.writable:
            return "read_only"
        position = sample.answer.position
        superseded = position is not None and self._newest is not None and position.superseded_by(self._newest)
        return "superseded" if superseded else ""

    def _refuse(self, refusal: str) -> None:
        if not refusal:
            renew(self.group.owner)  # before anybody is let through to it
        self.group.refusal = refusal
        if refusal:
            cut = sockets.sever(self.group.owner)
            logger.error("Owner '%s' must not be written (%s): %d connections cut.", self.group.owner, refusal, cut)
        else:
            logger.warning("Owner '%s' may be written again.", self.group.owner)

    def _changed(self, before: Replica, after: Replica, *, gone: bool) -> None:
        if before.reason == after.reason:
            return
        if after.fit:
            if before.reason not in {"lagging", "conflict"}:  # its connections are as good as they were
                renew(after.alias)
            logger.info("Replica '%s' is fit again.", after.alias)
            return
        # A thread that waits for a hung server waits for ever. Elsewhere what is being read goes on to its end.
        if gone or after.reason in _ANOTHER:
            sockets.sever(after.alias)
        logger.warning("Replica '%s' is unfit (%s): its reads go elsewhere.", after.alias, after.reason)


class Refresher:
    """The threads of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: int | None = None
        self._watches: list[OwnerWatch] = []
        self._parents: list[OwnerWatch] = []
        self._ended = threading.Event()

    def start(self) -> None:
        """Watch from now on, in this process and those forked from it; a second call changes nothing."""
        with self._lock:
            if self._process == os.getpid():
                return
            self._process = os.getpid()
            self._ended = threading.Event()
            self._watches = [
                OwnerWatch(set_of(owner))
                for owner in connections
                if replicas_of(owner) and keeps_positions(owner) and not set_of(owner).in_step
            ]
            for watch in self._watches:
                for asker in watch.askers():
                    asker.start()
            if self._watches:
                judged = (self._watches, self._ended)
                threading.Thread(
                    target=self._judge_for_ever, args=judged, name="switchyard-judges", daemon=True
                ).start()

    def stop(self) -> None:
        """End the threads, and forget what they found: for tests and for those who fork."""
        with self._lock:
            self._ended.set()
            for watch in self._watches:
                watch.end()
                watch.group.forget()
            self._process, self._watches = None, []

    def report(self, alias: str, reason: str) -> None:
        """Open the replica's circuit at once, until an answer to a later question closes it."""
        for watch in self._watches:
            for replica in watch.replicas:
                if replica.alias == alias:
                    replica.failed = (time.monotonic(), reason)
                    watch.judge()

    def askers(self) -> Iterator[Asker]:
        """Yield who asks each server: to look at."""
        for watch in self._watches:
            yield from watch.askers()

    def doubt(self, owner: str) -> None:
        """Ask the owner anew over a new connection: one of a request's led to a server that takes no writes."""
        for watch in self._watches:
            if watch.group.owner == owner:
                watch.asker.doubt()

    def running(self) -> bool:
        """Tell whether this process watches."""
        return self._process == os.getpid()

    def forked(self) -> None:
        """Watch again in a process whose parent watched: threads stay behind at a fork."""
        if self._process is not None:
            self._lock = threading.Lock()
            for watch in self._watches:
                watch.group.forget()
            # Kept: to collect the parent's connections here would close them there.
            self._parents += self._watches
            self._process, self._watches = None, []
            self.start()

    def _judge_for_ever(self, watches: list[OwnerWatch], ended: threading.Event) -> None:
        while not ended.wait(ROUND):
            for watch in watches:
                try:
                    watch.judge()
                    watch.seek()
                except Exception:  # the last verdicts would stand for ever
                    logger.exception("The servers of '%s' could not be judged.", watch.group.owner)


_refresher = Refresher()
start, stop, running, askers = _refresher.start, _refresher.stop, _refresher.running, _refresher.askers
doubt = _refresher.doubt


def ensure_running() -> None:
    """Watch, as a process does that serves requests or works tasks; not on the databases of a test run."""
    if not under_test():
        start()


def report(alias: str, error: BaseException) -> None:
    """Take a query's failure on a replica down: no other query goes there until it has answered again."""
    ensure_running()
    _refresher.report(alias, "conflict" if is_conflict(error) else "down")


def is_conflict(error: BaseException) -> bool:
    """Tell whether the replica ended the query because it was in the way of replay."""
    return getattr(error.__cause__ or error, "sqlstate", None) in {"40001", "40P01"}


def under_test() -> bool:
    """Tell whether Django's test environment is set up: a connection kept open there holds up the databases' end."""
    testing = sys.modules.get("django.test.utils")
    return testing is not None and hasattr(testing._TestState, "saved_data")  # noqa: SLF001 - the only mark it leaves


os.register_at_fork(after_in_child=_refresher.forked)
