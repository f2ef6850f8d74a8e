"""The threads of this process that watch the servers of owners and replicas, beside the requests.

Each server has a probing thread, which may hang with its server. One thread evaluates all answers and waits for no
server.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from math import inf

from django.db import connections

from switchyard.conf import conf
from switchyard.routing.monitor.probes.probe import ServerProbe, can_probe
from switchyard.routing.monitor.shared_file import SharedFile
from switchyard.routing.monitor.shared_watch import SharedWatch
from switchyard.routing.monitor.watch import OwnerWatch
from switchyard.routing.topology.ownership import owners, replicas_of
from switchyard.routing.topology.replication import replication_set, supports_positions

logger = logging.getLogger(__name__)

EVALUATION_INTERVAL_SECONDS = 0.1
# An evaluation that comes so long after the one before shows that this process stood still: the answers to its probes
# may lie there unread. A shorter delay shows that its threads wait for a core, and so do those of its probes.
_STANDSTILL_SECONDS = 0.4
_ANSWER_POLL_SECONDS = 0.02


class ReplicationMonitor:
    """The watches of this process and their threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: int | None = None
        self._watches: list[SharedWatch] = []
        self._parents: list[SharedWatch] = []
        self._stopped = threading.Event()

    def start(self, *, alone: bool = False) -> None:
        """Watch from now on, in this process and in processes forked from it; a second call changes nothing.

        With `alone` this process asks the servers itself, though others share METRICS_DIR with it.
        """
        with self._lock:
            if self._process == os.getpid():
                return
            self._process = os.getpid()
            self._stopped = threading.Event()
            self._watches = [_shared_watch(owner, alone=alone) for owner in connections if _has_server(owner)]
            for watch in self._watches:
                watch.start()
            if self._watches:
                arguments = (self._watches, self._stopped)
                threading.Thread(target=self._run, args=arguments, name="switchyard-monitor", daemon=True).start()

    def stop(self) -> None:
        """Stop the threads, and forget what they found."""
        with self._lock:
            self._stopped.set()
            for each in self._watches:
                each.stop()
                each.watch.group.reset()
            self._process, self._watches = None, []

    def report_failure(self, alias: str, reason: str, server: str) -> None:
        """Mark the server of a replica unfit at once, all of them if it is empty, until a later probe is answered."""
        for each in self._watches:
            for replica in each.watch.replicas:
                if replica.alias == alias:
                    replica.reported_failures[server] = (time.monotonic(), reason)
                    each.watch.evaluate()

    def probes(self) -> Iterator[ServerProbe]:
        """Yield the probe of each owner and replica."""
        for each in self._watches:
            yield from each.watch.probes()

    def wait_for_answers(self, seconds: float) -> None:
        """Wait until every probe has an answer or an error, `seconds` at most, and publish them."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not all(probe.last_sample or probe.error for probe in self.probes()):
            time.sleep(_ANSWER_POLL_SECONDS)
        for each in self._watches:
            each.watch.evaluate()

    def pending_migrations(self, owner: str) -> int | None:
        """Return the number of migrations that the owner has not recorded; None if this process does not know it."""
        return next((each.watch.pending.count for each in self._watches if each.watch.group.owner == owner), None)

    def watches(self, alias: str) -> bool:
        """Return True if this process notices when the server of the alias is down."""
        return any(probe.alias == alias for probe in self.probes())

    def reconnect(self, owner: str) -> None:
        """Probe the owner over a new connection: a request's new connection led to a server that takes no writes."""
        for each in self._watches:
            if each.watch.group.owner == owner:
                each.look_again()

    def running(self) -> bool:
        """Return True if this process watches."""
        return self._process == os.getpid()

    def restart_after_fork(self) -> None:
        """Watch again in the child of a process that watched: threads do not survive a fork."""
        if self._process is not None:
            self._lock = threading.Lock()
            for each in self._watches:
                each.watch.group.reset()
                each.close_file()
            # Kept: if Python freed the parent's connections here, it would close them in the parent, too.
            self._parents += self._watches
            self._process, self._watches = None, []
            self.start()

    def _run(self, watches: list[SharedWatch], stopped: threading.Event) -> None:
        evaluated_at = time.monotonic()
        while not stopped.wait(EVALUATION_INTERVAL_SECONDS):
            before, evaluated_at = evaluated_at, time.monotonic()
            elapsed = evaluated_at - before
            for each in watches:
                try:
                    each.update(inf if elapsed > _STANDSTILL_SECONDS else elapsed - EVALUATION_INTERVAL_SECONDS)
                except Exception:  # without this thread the last snapshot would stand for ever
                    logger.exception("The servers of '%s' could not be evaluated.", each.watch.group.owner)


def _shared_watch(owner: str, *, alone: bool) -> SharedWatch:
    directory = None if alone else conf.metrics_dir
    file = SharedFile(directory, (owner, *replicas_of(owner))) if directory else None
    return SharedWatch(OwnerWatch(replication_set(owner)), file)


def _has_server(owner: str) -> bool:
    """Return True if a server that can be probed has the rows of the owner, and no mirror of a test shows them."""
    if replicas_of(owner):
        return supports_positions(owner) and not replication_set(owner).snapshot.lag_free
    return owner in owners() and supports_positions(owner) and can_probe(owner)


_monitor = ReplicationMonitor()
start, stop, running, probes = _monitor.start, _monitor.stop, _monitor.running, _monitor.probes
reconnect, watches, wait_for_answers = _monitor.reconnect, _monitor.watches, _monitor.wait_for_answers
pending_migrations = _monitor.pending_migrations


def ensure_running() -> None:
    """Watch, as a process does that serves requests or works on tasks; not on the databases of a test run."""
    if not under_test():
        start()


def report_failure(alias: str, error: BaseException, server: str) -> None:
    """Mark the replica unfit after a query failed on it: no other query goes there until a later probe is answered.

    With several servers behind the alias, only `server` becomes unfit; empty if the connection did not open.
    """
    ensure_running()
    _monitor.report_failure(alias, "conflict" if is_recovery_conflict(error) else "down", server)


def is_recovery_conflict(error: BaseException) -> bool:
    """Return True if the replica ended the query because it was in the way of replay."""
    return getattr(error.__cause__ or error, "sqlstate", None) in {"40001", "40P01"}


def under_test() -> bool:
    """Return True if Django's test environment is set up: an open connection would hinder the end of its databases."""
    testing = sys.modules.get("django.test.utils")
    return testing is not None and hasattr(testing._TestState, "saved_data")  # noqa: SLF001 - the only mark it leaves


os.register_at_fork(after_in_child=_monitor.restart_after_fork)
