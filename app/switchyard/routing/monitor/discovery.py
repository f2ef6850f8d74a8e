"""The servers behind one replica's alias: how the others than the asked one are found, asked, and let in."""

import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from itertools import takewhile
from math import inf
from typing import Any

from switchyard.positions import Position
from switchyard.routing.monitor import sockets
from switchyard.routing.monitor.probe import PROBE_INTERVAL_SECONDS, ServerProbe
from switchyard.routing.topology.replication import Sample, shared_aliases

DISCOVERY_INTERVAL_SECONDS = 60.0  # seconds from one look for other servers to the next
MAX_ATTEMPTS = 4  # connections of one look
_SHARED_ALIAS_TTL_SECONDS = 60.0  # seconds that an alias counts as shared after it has shown one server only
_MAX_SERVERS = 8  # servers asked behind one alias, beside the first


class DiscoveryProbe(ServerProbe):
    """Asks a server that nobody else asks. It ends where its connections lead to none."""

    def __init__(
        self, alias: str, taken: Callable[["DiscoveryProbe"], AbstractSet[str]], after: Callable[[Any], str]
    ) -> None:
        super().__init__(alias, extra_check=after)
        self.found = False
        self._claimed = taken
        self._left = MAX_ATTEMPTS

    def probe(self) -> None:
        super().probe()
        if self.last_sample is not None and self.last_sample.status.server_id in self._claimed(self):
            self.reset()
        if self.last_sample is not None and not self.error:
            self.found, self._left = True, MAX_ATTEMPTS
            return
        self._left -= 1
        if not self._left:
            self.stop()


class ServerDiscovery:
    """All servers behind one replica's alias. Used by one thread at a time, which judges."""

    def __init__(self, alias: str, first: ServerProbe, after: Callable[[], Callable[[Any], str]]) -> None:
        self.alias = alias
        self.discovered: list[DiscoveryProbe] = []
        self._first = first
        self._after = after
        self._look_at = 0.0
        self._known_unprobed: AbstractSet[str] = frozenset()
        self._ended = False
        self._admitted: set[str] = set()
        self._first_seen_at: dict[str, float] = {}
        self._required_position: dict[str, Position] = {}

    def probes(self) -> Iterator[tuple[str, ServerProbe]]:
        """Yield each server that is asked, and who asks it."""
        found = {}
        for asker in (*reversed(self.discovered), self._first):
            if (sample := asker.last_sample) is not None:
                found[sample.status.server_id] = asker
        yield from found.items()

    def servers(self) -> set[str]:
        """Return every server that a connection of this process leads to."""
        asked = self._asked()
        return asked | sockets.connected_servers(self.alias, asked)

    def update(self) -> bool:
        """Note whether several servers share the alias; tell whether one of them is asked by nobody."""
        asked = self._asked()
        strangers = sockets.connected_servers(self.alias, asked)
        seen = asked | strangers
        if len(seen) > 1:
            shared_aliases[self.alias] = time.monotonic()
        elif time.monotonic() - shared_aliases.get(self.alias, inf) > _SHARED_ALIAS_TTL_SECONDS:
            shared_aliases.pop(self.alias, None)
        for gone in self._first_seen_at.keys() - seen:  # if it comes back, it may have less than it had
            del self._first_seen_at[gone]
            self._required_position.pop(gone, None)
            self._admitted.discard(gone)
        return bool(strangers)

    def _unprobed_servers(self) -> set[str]:
        return sockets.connected_servers(self.alias, self._asked())

    def _asked(self) -> set[str]:
        return {server for server, _ in self.probes()}

    def discover(self, now: float) -> None:
        """Look for other servers: now and then, and when a request was led to one."""
        self.discovered = [seeker for seeker in self.discovered if seeker.is_alive()]
        if self._ended or self._first.last_sample is None or self._first.error or len(self.discovered) == _MAX_SERVERS:
            return
        if any(not seeker.found for seeker in self.discovered):
            return
        strangers = self._unprobed_servers()
        if now >= self._look_at or strangers - self._known_unprobed:
            self._look_at, self._known_unprobed = now + DISCOVERY_INTERVAL_SECONDS, strangers
            self.discovered.append(DiscoveryProbe(self.alias, self._claimed_before, self._after()))
            self.discovered[-1].start()

    def stop(self) -> None:
        """Seek and ask no more."""
        self._ended = True
        for seeker in self.discovered:
            seeker.stop()

    def admits(
        self, server: str, position: Position, owner: Sample | None, *, owner_unavailable: bool, now: float
    ) -> bool:
        """Tell whether the server surely has what was read behind this alias before it was met.

        That is what the owner had when it was asked next; while it cannot be asked, what it had when it last was. Who
        was alone here from the beginning has it.
        """
        if server in self._admitted:
            return True
        if owner is None or (not self._first_seen_at and self.servers() == {server}):
            self._first_seen_at.setdefault(server, now)
            self._admitted.add(server)
            return True
        # A round later: by then each read notes which server it was on.
        met = self._first_seen_at.setdefault(server, now + PROBE_INTERVAL_SECONDS)
        if (
            server not in self._required_position
            and (owner_unavailable or owner.begun_at > met)
            and owner.status.position is not None
        ):
            self._required_position[server] = owner.status.position
        if server not in self._required_position or not position.includes(self._required_position[server]):
            return False
        self._admitted.add(server)
        return True

    def _claimed_before(self, seeker: DiscoveryProbe) -> set[str]:
        before = (self._first, *takewhile(lambda each: each is not seeker, self.discovered))
        return {asker.last_sample.status.server_id for asker in before if asker.last_sample is not None}
