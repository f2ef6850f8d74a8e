"""The servers behind one replica's alias: how the others than the asked one are found, asked, and let in."""

import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from itertools import takewhile
from math import inf
from typing import Any

from switchyard.positions import Position
from switchyard.routing.monitor import sockets
from switchyard.routing.monitor.probe import ROUND, Asker
from switchyard.routing.topology.replication import Sample, shared

LOOK = 60.0  # seconds from one look for other servers to the next
TRIES = 4  # connections of one look
_KEPT = 60.0  # seconds that an alias counts as shared after it has shown one server only
_MOST = 8  # servers asked behind one alias, beside the first


class Seeker(Asker):
    """Asks a server that nobody else asks. It ends where its connections lead to none."""

    def __init__(self, alias: str, taken: Callable[["Seeker"], AbstractSet[str]], after: Callable[[Any], str]) -> None:
        super().__init__(alias, after=after)
        self.found = False
        self._taken = taken
        self._left = TRIES

    def ask(self) -> None:
        super().ask()
        if self.sample is not None and self.sample.answer.server in self._taken(self):
            self.drop()
        if self.sample is not None and not self.fault:
            self.found, self._left = True, TRIES
            return
        self._left -= 1
        if not self._left:
            self.end()


class Neighbours:
    """All servers behind one replica's alias. Used by one thread at a time, which judges."""

    def __init__(self, alias: str, first: Asker, after: Callable[[], Callable[[Any], str]]) -> None:
        self.alias = alias
        self.seekers: list[Seeker] = []
        self._first = first
        self._after = after
        self._look_at = 0.0
        self._sought: AbstractSet[str] = frozenset()
        self._ended = False
        self._let_in: set[str] = set()
        self._met: dict[str, float] = {}
        self._floor: dict[str, Position] = {}

    def askers(self) -> Iterator[tuple[str, Asker]]:
        """Yield each server that is asked, and who asks it."""
        found = {}
        for asker in (*reversed(self.seekers), self._first):
            if (sample := asker.sample) is not None:
                found[sample.answer.server] = asker
        yield from found.items()

    def seen(self) -> set[str]:
        """Return every server that a connection of this process leads to."""
        asked = self._asked()
        return asked | sockets.servers(self.alias, asked)

    def judge(self) -> bool:
        """Note whether several servers share the alias; tell whether one of them is asked by nobody."""
        asked = self._asked()
        strangers = sockets.servers(self.alias, asked)
        seen = asked | strangers
        if len(seen) > 1:
            shared[self.alias] = time.monotonic()
        elif time.monotonic() - shared.get(self.alias, inf) > _KEPT:
            shared.pop(self.alias, None)
        for gone in self._met.keys() - seen:  # if it comes back, it may have less than it had
            del self._met[gone]
            self._floor.pop(gone, None)
            self._let_in.discard(gone)
        return bool(strangers)

    def _strangers(self) -> set[str]:
        return sockets.servers(self.alias, self._asked())

    def _asked(self) -> set[str]:
        return {server for server, _ in self.askers()}

    def seek(self, now: float) -> None:
        """Look for other servers: now and then, and when a request was led to one."""
        self.seekers = [seeker for seeker in self.seekers if seeker.is_alive()]
        if self._ended or self._first.sample is None or self._first.fault or len(self.seekers) == _MOST:
            return
        if any(not seeker.found for seeker in self.seekers):
            return
        strangers = self._strangers()
        if now >= self._look_at or strangers - self._sought:
            self._look_at, self._sought = now + LOOK, strangers
            self.seekers.append(Seeker(self.alias, self._taken_before, self._after()))
            self.seekers[-1].start()

    def end(self) -> None:
        """Seek and ask no more."""
        self._ended = True
        for seeker in self.seekers:
            seeker.end()

    def lets_in(self, server: str, position: Position, owner: Sample | None, *, refused: bool, now: float) -> bool:
        """Tell whether the server surely has what was read behind this alias before it was met.

        That is what the owner had when it was asked next; while it cannot be asked, what it had when it last was. Who
        was alone here from the beginning has it.
        """
        if server in self._let_in:
            return True
        if owner is None or (not self._met and self.seen() == {server}):
            self._met.setdefault(server, now)
            self._let_in.add(server)
            return True
        # A round later: by then each read notes which server it was on.
        met = self._met.setdefault(server, now + ROUND)
        if server not in self._floor and (refused or owner.begun_at > met) and owner.answer.position is not None:
            self._floor[server] = owner.answer.position
        if server not in self._floor or not position.covers(self._floor[server]):
            return False
        self._let_in.add(server)
        return True

    def _taken_before(self, seeker: Seeker) -> set[str]:
        before = (self._first, *takewhile(lambda each: each is not seeker, self.seekers))
        return {asker.sample.answer.server for asker in before if asker.sample is not None}
