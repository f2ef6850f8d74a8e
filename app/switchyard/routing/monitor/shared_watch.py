"""One process asks the servers of an owner for all processes that share METRICS_DIR; each evaluates for itself.

The process that has the lock leads: its probes ask the servers, and it writes their answers into the file. The others
read the file before each evaluation. When the leading process ends, another one leads at its next evaluation, and
continues with what it has read. A process that finds no fresh file, because the leading process stands still, asks
for itself until the file is fresh again. Without METRICS_DIR each process asks for itself.
"""

import logging
import time
from collections.abc import Callable, Iterator
from math import inf

from switchyard.routing.monitor.probes.probe import ServerProbe
from switchyard.routing.monitor.probes.volatile_functions import cache_catalog, known_catalog
from switchyard.routing.monitor.shared_file import Published, ServerGauges, SharedFile
from switchyard.routing.monitor.watch import OwnerWatch

logger = logging.getLogger(__name__)

# A file that is so old shows that the leading process stands still, and says nothing about the servers.
STANDSTILL_SECONDS = 0.4
LEADER_TIMEOUT_SECONDS = 3.0


class SharedWatch:
    """The watch of one owner in this process. Without a `file` this process asks for itself."""

    def __init__(self, watch: OwnerWatch, file: SharedFile | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.watch = watch
        self._file = file
        self._clock = clock
        self._asks = False
        self._fresh_at = clock()
        self._catalog_at = 0.0
        self._requested_at = file.requested_at() if file else 0

    def start(self) -> None:
        """Begin to ask the servers, unless another process does."""
        self._share()

    def update(self, forgiven_seconds: float) -> None:
        """Evaluate what is known now. The seconds say how long this process stood still."""
        self._share()
        if self._asks:
            self.watch.forgive(forgiven_seconds)
        self.watch.evaluate()
        if self._asks:
            self.watch.discover()
        if self._file is not None and self._file.leads:
            self._answer(self._file)
            self._write(self._file)

    def look_again(self) -> None:
        """Let the process that asks look for a change of the owner's server at once."""
        if self._asks or self._file is None:
            self.watch.look_again()
        else:
            self._file.request()

    def stop(self) -> None:
        """End the threads of the probes, and let another process lead."""
        self.watch.stop()
        self.close_file()

    def close_file(self) -> None:
        """Give up this process's part in the lock: in a forked child, whose parent keeps it."""
        if self._file is not None:
            self._file.close()

    def _share(self) -> None:
        """Lead if no other process does; otherwise have what the leading process knows."""
        leads = True
        if self._file is not None:
            try:
                leads = self._file.lead()
            except OSError as error:
                self._stop_sharing(error)
        if self._file is None or leads:
            self._ask()
        else:
            self._follow(self._file)

    def _ask(self) -> None:
        if not self._asks:
            self._asks = True
            self.watch.start()

    def _stop_sharing(self, error: OSError) -> None:
        logger.error(
            "The probes of '%s' cannot be shared in METRICS_DIR, so this process asks for itself: %s.",
            self.watch.group.owner,
            error.strerror,
        )
        self.close_file()
        self._file = None

    def _follow(self, file: SharedFile) -> None:
        published, now = file.read(), self._clock()
        if published is not None and 0 <= now - published.written_at <= STANDSTILL_SECONDS:
            self._fresh_at = published.written_at
            if self._asks:
                self._asks = False
                self.watch.pause()
            # Before the answers: whoever sees an answer must see the count that came with it.
            self.watch.pending.count = published.servers[self.watch.group.owner].pending_migrations
            if self.watch.take(published.probes, published.shutdown):
                file.request()
            if published.catalog_at != self._catalog_at:
                cache_catalog(self.watch.group.owner, file.read_catalog())
                self._catalog_at = published.catalog_at
        elif now - self._fresh_at > LEADER_TIMEOUT_SECONDS:
            self._ask()
        elif not self._asks:
            self.watch.forgive(inf)

    def _answer(self, file: SharedFile) -> None:
        requested_at = file.requested_at()
        if requested_at != self._requested_at:
            self._requested_at = requested_at
            self.watch.look_again()

    def _write(self, file: SharedFile) -> None:
        catalog = known_catalog(self.watch.group.owner)
        content = Published(
            self._clock(),
            self.watch.states(),
            catalog.loaded_at,
            dict(_servers(self.watch)),
            self.watch.group.snapshot.shutdown,
        )
        try:
            if catalog.loaded_at != self._catalog_at:
                file.write_catalog(catalog)
                self._catalog_at = catalog.loaded_at
            file.write(content)
        except OSError as error:
            self._stop_sharing(error)


def _servers(watch: OwnerWatch) -> Iterator[tuple[str, ServerGauges]]:
    """Yield the verdict about the owner, and about each replica."""
    owner, snapshot = watch.group.owner, watch.group.snapshot
    known = _gauges(watch.probe, reason=snapshot.unavailable_reason)
    yield owner, known._replace(pending_migrations=watch.pending.count)
    for each, replica in zip(watch.replicas, snapshot.replicas, strict=True):
        lag_seconds = replica.lag_seconds if replica.fit or replica.unfit_reason == "lagging" else None
        known = _gauges(each.probe, reason=replica.unfit_reason)
        yield (
            replica.alias,
            known._replace(replica_of=owner, lag_seconds=lag_seconds, lag_bytes=replica.lag_bytes),
        )


def _gauges(probe: ServerProbe, *, reason: str) -> ServerGauges:
    return ServerGauges(
        vendor=probe.vendor,
        server_version=probe.server_version,
        replica_of="",
        reason=reason,
        sampled_at=probe.last_sample.begun_at if probe.last_sample else None,
        lag_seconds=None,
        lag_bytes=None,
        pending_migrations=None,
    )
