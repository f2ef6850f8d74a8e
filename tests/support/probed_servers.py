"""Servers whose status a test sets in place of their probes. No thread runs and no server is probed."""

from tests.support.published import at

from switchyard.positions import Position, ServerStatus
from switchyard.routing.monitor.probes.discovery import DiscoveryProbe
from switchyard.routing.monitor.probes.probe import ServerProbe
from switchyard.routing.monitor.shared_watch import SharedWatch
from switchyard.routing.monitor.watch import OwnerWatch
from switchyard.routing.topology.replication import Replica, ReplicationSet, Sample

START = 1000.0
PROBE_ERROR = "OperationalError when asked"


class ProbedServers:
    """The watch of an owner and its replicas, at a time that the test sets."""

    def __init__(self, group: ReplicationSet) -> None:
        self.now = START  # the watch's time.monotonic()
        self.watch = OwnerWatch(group, clock=lambda: self.now)
        self.shared = SharedWatch(self.watch, None, clock=lambda: self.now)
        self.group = group

    def owner_answers(
        self,
        lsn: int,
        *,
        server: str = "owner",
        is_standby: bool = False,
        writable: bool = True,
        system: str = "1",
        timeline: int = 1,
    ) -> None:
        """Set the status of the server at the owner's address."""
        self.watch.probe.error = ""
        position = at(lsn, system=system, timeline=timeline)
        self.watch.probe.last_sample = Sample(self.now, ServerStatus(server, is_standby, writable, position))

    def replica_answers(
        self, position: Position | None, *, number: int = 0, server: str = "", is_standby: bool = True
    ) -> None:
        """Set the status of the server at the address of the replica with this number."""
        probe = self.replica_probe(number)
        probe.error = ""
        probe.last_sample = Sample(
            self.now, ServerStatus(server or f"replica {number}", is_standby, writable=False, position=position)
        )

    def replica_probe(self, number: int = 0) -> ServerProbe:
        """Return the probe of the replica with this number."""
        return self.watch.replicas[number].probe

    def discover_server(self) -> DiscoveryProbe:
        """Add the probe of another server behind the alias of the first replica, and return this probe."""
        probe = DiscoveryProbe("replica", lambda _probe: set(), lambda _cursor: "")
        self.watch.replicas[0].discovery.discovered.append(probe)
        return probe

    def evaluate(self, seconds: float = 0.0) -> Replica:
        """Evaluate all servers so many seconds later; return the published state of the first replica."""
        self.now += seconds
        self.watch.evaluate()
        return self.group.snapshot.replicas[0]
