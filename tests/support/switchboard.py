"""An address in front of the servers that can lead to another server, like a proxy or a virtual IP address."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from threading import Event, Lock, Thread

from tests.support.servers import Servers


class Switchboard:
    """A port that leads to the server of an alias.

    A change of the target holds for new connections; `drop` ends the existing connections.
    """

    def __init__(self, servers: Servers, alias: str) -> None:
        self.servers = servers
        self.alias = alias
        self.port = 0
        self._leads_to = cycle((alias,))
        self._passes = Event()
        self._passes.set()
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._listen()

    def environ(self, user: str = "app") -> dict[str, str]:
        """Return the DATABASE_* variable of a service that connects through this address."""
        return {f"DATABASE_{self.alias.upper()}_URL": self.servers.url(self.alias, user, port=self.port)}

    @contextmanager
    def leading_to(self, *aliases: str) -> Iterator[None]:
        """Lead new connections to another server in this block; with several aliases in turn, like a load balancer."""
        before, self._leads_to = self._leads_to, cycle(aliases)
        try:
            yield
        finally:
            self._leads_to = before

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Accept connections and pass no data on in this block; after the block the data arrives."""
        self._passes.clear()
        try:
            yield
        finally:
            self._passes.set()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse connections in this block, and end the existing connections."""
        self._close()
        try:
            yield
        finally:
            self._listen()

    def drop(self) -> None:
        """End all connections."""
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Refuse connections from now on, and end the existing connections."""
        self._passes.set()
        self._close()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._accepts = Thread(target=self._accept, args=[self._listener], daemon=True)
        self._accepts.start()

    def _close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._accepts.join()
        self._listener.close()
        self.drop()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                Thread(target=self._connect, args=[client], daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with ExitStack() as stack:
            self._hold(client, stack)
            self._passes.wait()
            try:
                with self._lock:
                    alias = next(self._leads_to)
                server = socket.create_connection(("127.0.0.1", self.servers.by_alias[alias].port))
            except OSError:
                return
            self._hold(server, stack)
            back = Thread(target=self._pass_on, args=[server, client], daemon=True)
            back.start()
            self._pass_on(client, server)
            back.join()

    def _hold(self, end: socket.socket, stack: ExitStack) -> None:
        """Register the socket for `drop` until the stack closes it."""
        stack.enter_context(end)
        with self._lock:
            self._open.add(end)
        stack.callback(self._forget, end)

    def _forget(self, end: socket.socket) -> None:
        with self._lock:
            self._open.discard(end)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._passes.wait()
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def switchboard(servers: Servers, alias: str = "default") -> Iterator[Switchboard]:
    """Yield an address that leads to the server of the alias at first; close it after the block."""
    board = Switchboard(servers, alias)
    try:
        yield board
    finally:
        board.close()
