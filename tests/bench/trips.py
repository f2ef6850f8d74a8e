"""An address in front of PostgreSQL that counts round trips: how often a client sends after the server has answered."""

import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

_NAME = re.compile(rb"\0application_name\0([^\0]*)\0")


class Trips:
    """A port that leads to the port of a server; `made` counts by the application name of the connection."""

    def __init__(self, leads_to: int) -> None:
        self.made: Counter[str] = Counter()
        self._leads_to = leads_to
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                _Line(self, client, socket.create_connection(("127.0.0.1", self._leads_to)))


class _Line:
    """One connection through the address."""

    def __init__(self, trips: Trips, client: socket.socket, server: socket.socket) -> None:
        self._trips = trips
        self._answered = True
        self._name = ""
        for source, target, note in ((client, server, self._asked), (server, client, self._told)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Thread(target=self._pass_on, args=[source, target, note], daemon=True).start()

    def _asked(self, data: bytes) -> None:
        if not self._name and (found := _NAME.search(data)):
            self._name = found[1].decode()
        if self._answered:
            self._trips.made[self._name] += 1
        self._answered = False

    def _told(self, data: bytes) -> None:
        self._answered = True

    def _pass_on(self, source: socket.socket, target: socket.socket, note: Callable[[bytes], None]) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                note(data)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def counted_trips(leads_to: int) -> Iterator[Trips]:
    """Yield an address that counts."""
    trips = Trips(leads_to)
    try:
        yield trips
    finally:
        trips.close()
