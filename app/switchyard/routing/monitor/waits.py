"""The calls to each server that run now, so that one hung server does not hold all threads of this process.

A hung server holds each thread that calls it until the monitor knows that it is down. As soon as its probe is late, at
most half of the threads may wait for it: the monitor ends the calls beyond that, and further calls are refused. While a
server answers, no call is ended or refused, however slow the calls are. Whether a probe is late is decided in watch.py.
"""

import os
from types import TracebackType
from typing import Any, Self

from switchyard.conf import conf
from switchyard.routing.monitor import sockets


class Waits:
    """The running calls to the server of one alias, each with its driver cursor or connection, the oldest first.

    Threads change `running` without a lock, each thread its own keys. A call that opens a connection has None.
    """

    __slots__ = ("alias", "answered", "running")

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.running: dict[object, Any] = {}
        self.answered = 0  # changes with each answer of the server, and counts too few where threads meet

    def beyond_share(self) -> list[object]:
        """Return the youngest calls, those beyond the share of the threads; none if THREADS is unknown."""
        share = _share()
        return [] if share is None else list(self.running)[share:]

    def is_full(self) -> bool:
        """Return True if the running calls use the whole share of the threads."""
        return not is_within_share(len(self.running))

    def end_beyond_share(self) -> int:
        """End the calls beyond the share, and return their number.

        A thread gets the driver's error of a lost connection. A thread that opens a connection ends its wait itself.
        """
        waited_for = [self.running.get(call) for call in self.beyond_share()]
        connections = [getattr(each, "connection", each) for each in waited_for if each is not None]  # of a cursor
        return sum(sockets.shutdown_connection(self.alias, connection) for connection in connections)


class Wait:
    """A block that waits for the server of an alias, without a cursor: it connects, or ends a transaction."""

    __slots__ = ("_running",)

    def __init__(self, alias: str, connection: Any = None) -> None:
        self._running = waits_for(alias).running
        self._running[self] = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._running.pop(self, None)  # a child process that was forked in the block has no calls


def is_within_share(others: int) -> bool:
    """Return True if a call beside so many others is within the share of the threads."""
    share = _share()
    return share is None or others < share


def leaves_a_thread(others: int) -> bool:
    """Return True if a call beside so many others leaves a thread for other work."""
    return conf.threads is None or others < conf.threads - 1


def _share() -> int | None:
    """Return the number of threads that may wait for one late server; None if THREADS is unknown."""
    return None if conf.threads is None else max(conf.threads // 2, 1)


_waits: dict[str, Waits] = {}


def waits_for(alias: str) -> Waits:
    """Return the calls to the server of the alias: one object for each alias and process."""
    waits = _waits.get(alias)
    return _waits.setdefault(alias, Waits(alias)) if waits is None else waits


def _after_fork() -> None:
    """Forget the calls of the parent process: their threads do not exist here."""
    for waits in _waits.values():
        waits.running.clear()


os.register_at_fork(after_in_child=_after_fork)
