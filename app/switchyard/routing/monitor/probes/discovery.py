"""The other servers behind the alias of a replica: find them, probe them, and admit them once they have caught up.

The first server has the probe of `ReplicaWatch`. No evaluation of lag or fitness here.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import takewhile
from math import inf
from typing import Any

from switchyard.positions import Position
from switchyard.routing.monitor import sockets
from switchyard.routing.monitor.probes.probe import PROBE_INTERVAL_SECONDS, ProbeState, ServerProbe
from switchyard.routing.topology.replication import Sample, shared_aliases

DISCOVERY_INTERVAL_SECONDS = 60.0  # between two searches, unless a request reaches an unprobed server
MAX_ATTEMPTS = 4  # connections of one search
_SHARED_ALIAS_TTL_SECONDS = 60.0  # an alias stays shared for so long after the last sight of a second server
_MAX_SERVERS = 8  # probed behind one alias, without the first


class DiscoveryProbe(ServerProbe):
    """A probe that searches for a server without a probe, and then keeps probing it.

    `claimed` returns the servers that other probes have; the probe gives up a connection to one of them. The thread
    ends after MAX_ATTEMPTS probes in a row without a server of its own.
    """

    def __init__(
        self, alias: str, claimed: Callable[["DiscoveryProbe"], AbstractSet[str]], extra_check: Callable[[Any], str]
    ) -> None:
        super().__init__(alias, extra_check=extra_check)
        self.found = False
        self._claimed = claimed
        self._attempts_left = MAX_ATTEMPTS

    def probe(self) -> None:
        """Probe once; forget a server that another probe has, and stop after the last attempt."""
        super().probe()
        if self.last_sample is not None and self.last_sample.status.server_id in self._claimed(self):
            self.reset()
        if self.last_sample is not None and not self.error:
            self.found, self._attempts_left = True, MAX_ATTEMPTS
            return
        self._attempts_left -= 1
        if not self._attempts_left:
            self.stop()


class ServerDiscovery:
    """All servers behind the alias of one replica. Not thread-safe: `OwnerWatch` holds its lock around each call.

    `first_probe` is the probe of the replica. `make_check` makes an `extra_check` for each further probe.
    """

    def __init__(self, alias: str, first_probe: ServerProbe, make_check: Callable[[], Callable[[Any], str]]) -> None:
        self.alias = alias
        self.discovered: list[DiscoveryProbe] = []
        self._first_probe = first_probe
        self._make_check = make_check
        self._next_search_at = 0.0  # time.monotonic()
        self._known_unprobed: AbstractSet[str] = frozenset()
        self._stopped = False
        self._admitted: set[str] = set()
        self._first_seen_at: dict[str, float] = {}  # server -> time.monotonic()
        self._required_position: dict[str, Position] = {}  # server -> position of the owner after the first sight

    def probes(self) -> Iterator[tuple[str, ServerProbe]]:
        """Yield each probed server, and its probe. The first probe comes before others that reach its server."""
        probes = {}
        for probe in (*reversed(self.discovered), self._first_probe):
            if (sample := probe.last_sample) is not None:
                probes[sample.status.server_id] = probe
        yield from probes.items()

    def servers(self) -> set[str]:
        """Return every server behind the alias that a connection of this process leads to."""
        probed = self._probed_servers()
        return probed | sockets.connected_servers(self.alias, probed)

    def update(self) -> bool:
        """Note whether the alias is shared, and forget servers that are gone. Return True if a server has no probe."""
        probed, unprobed = self._probed_servers(), self._unprobed_servers()
        seen = probed | unprobed
        if len(seen) > 1:
            shared_aliases[self.alias] = max(time.monotonic(), shared_aliases.get(self.alias, 0.0))
        elif time.monotonic() - shared_aliases.get(self.alias, inf) > _SHARED_ALIAS_TTL_SECONDS:
            shared_aliases.pop(self.alias, None)
        for gone in self._first_seen_at.keys() - seen:  # a server that returns may have fewer rows than before
            del self._first_seen_at[gone]
            self._required_position.pop(gone, None)
            self._admitted.discard(gone)
        return bool(unprobed)

    def _unprobed_servers(self) -> set[str]:
        return sockets.connected_servers(self.alias, self._probed_servers())

    def _probed_servers(self) -> set[str]:
        return {server for server, _ in self.probes()}

    def discover(self, now: float) -> None:
        """Search for another server in each interval, and at once when a request reached a new unprobed server.

        `now` is a `time.monotonic()`. One search runs at a time, and none while the first server does not answer.
        """
        self.discovered = [probe for probe in self.discovered if probe.is_alive()]
        first = self._first_probe
        if self._stopped or first.last_sample is None or first.error or len(self.discovered) == _MAX_SERVERS:
            return
        if any(not probe.found for probe in self.discovered):
            return
        unprobed = self._unprobed_servers()
        if now >= self._next_search_at or unprobed - self._known_unprobed:
            self._next_search_at, self._known_unprobed = now + DISCOVERY_INTERVAL_SECONDS, unprobed
            self.discovered.append(self._new_probe())
            self.discovered[-1].start()

    def states(self) -> list[ProbeState]:
        """Return the states of the probes that have found a server."""
        return [probe.state for probe in self.discovered if probe.found]

    def take(self, states: Sequence[ProbeState]) -> bool:
        """Have the probes of another process. Return True if a connection leads to a new server without a probe."""
        while len(self.discovered) < len(states):
            self.discovered.append(self._new_probe())
            self.discovered[-1].found = True
        del self.discovered[len(states) :]
        for probe, state in zip(self.discovered, states, strict=True):
            probe.take(state)
        before, self._known_unprobed = self._known_unprobed, self._unprobed_servers()
        return bool(self._known_unprobed - before)

    def start(self) -> None:
        """Run the probes that were another process's."""
        for probe in self.discovered:
            probe.start()

    def pause(self) -> None:
        """Stop all probes of this alias except the first: another process has probes of its own."""
        for probe in self.discovered:
            probe.stop()
        self.discovered = []

    def search_soon(self) -> None:
        """Search for another server at the next call of `discover()`."""
        self._next_search_at = 0.0

    def stop(self) -> None:
        """Stop all probes of this alias except the first, and start no search any more."""
        self._stopped = True
        for probe in self.discovered:
            probe.stop()

    def admits(
        self, server: str, position: Position, owner: Sample | None, *, owner_unavailable: bool, now: float
    ) -> bool:
        """Return True once the server has caught up with the owner's position at the time it was first seen.

        That position comes from the next sample of the owner, or from its last sample if the owner is unavailable. Then
        the server has all rows that clients read behind this alias before. The only server ever seen behind the alias
        needs no check. `now` is a `time.monotonic()`.
        """
        if server in self._admitted:
            return True
        if owner is None or (not self._first_seen_at and self.servers() == {server}):
            self._first_seen_at.setdefault(server, now)
            self._admitted.add(server)
            return True
        # One interval later: by then each read notes its server, because the alias is known to be shared.
        seen_at = self._first_seen_at.setdefault(server, now + PROBE_INTERVAL_SECONDS)
        if (
            server not in self._required_position
            and (owner_unavailable or owner.begun_at > seen_at)
            and owner.status.position is not None
        ):
            self._required_position[server] = owner.status.position
        if server not in self._required_position or not position.includes(self._required_position[server]):
            return False
        self._admitted.add(server)
        return True

    def _new_probe(self) -> DiscoveryProbe:
        return DiscoveryProbe(self.alias, self._claimed_before, self._make_check())

    def _claimed_before(self, probe: DiscoveryProbe) -> set[str]:
        """Return the servers of the probes before this probe: of two probes on one server, the earlier keeps it."""
        before = (self._first_probe, *takewhile(lambda each: each is not probe, self.discovered))
        return {each.last_sample.status.server_id for each in before if each.last_sample is not None}
