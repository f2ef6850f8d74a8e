"""Sockets of tracked connections: shutdown, and the servers that they lead to."""

import gc
import os
import socket
import threading
import warnings
from collections.abc import Iterator

import pytest

from switchyard.routing.monitor import sockets


class Connection:
    """A driver connection, with the attributes that these tests use."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def fileno(self) -> int:
        return self.end.fileno()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The end of a client and the end of a server."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_shutdown__a_thread_that_waits(pair: tuple[socket.socket, socket.socket]) -> None:
    """A waiting thread wakes up, because its connection has ended."""
    ours, _ = pair
    connection = Connection(ours)
    sockets.track("cut", connection)
    received: list[bytes] = []
    waiting = threading.Thread(target=lambda: received.append(ours.recv(1)))
    waiting.start()

    count = sockets.shutdown("cut")
    waiting.join(5)

    assert (count, received) == (1, [b""])


def test_shutdown__another_alias(pair: tuple[socket.socket, socket.socket]) -> None:
    """Connections of another alias stay open."""
    ours, theirs = pair
    connection = Connection(ours)
    sockets.track("kept", connection)

    count = sockets.shutdown("another")
    theirs.send(b"a")

    assert (count, connection.end.recv(1)) == (0, b"a")


def test_shutdown__a_reused_descriptor(pair: tuple[socket.socket, socket.socket]) -> None:
    """A socket that reuses the descriptor of a closed connection stays open."""
    ours, theirs = pair
    closed, rest = socket.socketpair()
    connection = Connection(closed)
    sockets.track("reused", connection)
    number = closed.fileno()
    closed.close()
    os.dup2(ours.fileno(), number)

    count = sockets.shutdown("reused")
    theirs.send(b"a")

    with rest, socket.socket(fileno=number) as another:
        assert (count, another.recv(1)) == (0, b"a")


def test_shutdown__a_closed_connection(pair: tuple[socket.socket, socket.socket]) -> None:
    """A closed connection has no socket to shut down."""
    connection = Connection(pair[0])
    sockets.track("closed", connection)
    pair[0].close()

    assert sockets.shutdown("closed") == 0


def test_shutdown__a_freed_connection(pair: tuple[socket.socket, socket.socket]) -> None:
    """A connection without references is forgotten."""
    sockets.track("forgotten", Connection(pair[0]))
    gc.collect()

    assert sockets.shutdown("forgotten") == 0


def test_track__a_file() -> None:
    """A connection without a socket is not tracked."""
    sockets.track("file", object())

    assert sockets.shutdown("file") == 0


def test_shutdown__in_a_forked_process(pair: tuple[socket.socket, socket.socket]) -> None:
    """A child process does not shut down connections of its parent."""
    connection = Connection(pair[0])
    sockets.track("parents", connection)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of other tests
        child = os.fork()
    if child == 0:
        os._exit(sockets.shutdown("parents"))
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert sockets.shutdown("parents") == 1


def test_connected_servers__open_connections(pair: tuple[socket.socket, socket.socket]) -> None:
    """A server that has closed its only connection does not count, even if its last data is unread."""
    ended, rest = socket.socketpair()
    kept, gone, unknown = Connection(pair[0]), Connection(ended), Connection(pair[0])
    for connection, server in ((kept, "a"), (gone, "b"), (unknown, "")):
        sockets.track("led", connection)
        sockets.set_server("led", connection, server)
    before = sockets.connected_servers("led", set()), sockets.connected_servers("led", {"a"})
    rest.send(b"terminating connection")
    rest.close()

    with ended:
        after = sockets.connected_servers("led", set()), sockets.connected_servers("led", {"a"})
    assert before == ({"a", "b"}, {"b"})
    assert after == ({"a"}, set())
    assert sockets.server_of("led", gone) == "b"


def test_track__again(pair: tuple[socket.socket, socket.socket]) -> None:
    """A connection keeps its server, unless it has another socket now."""
    connection = Connection(pair[0])
    sockets.track("again", connection)
    sockets.set_server("again", connection, "a")
    sockets.track("again", connection)
    before = sockets.server_of("again", connection)
    connection.end = pair[1]
    sockets.track("again", connection)

    assert (before, sockets.server_of("again", connection)) == ("a", "")


def test_shutdown__one_server(pair: tuple[socket.socket, socket.socket]) -> None:
    """Connections to another server stay open."""
    ours, theirs = pair
    connection = Connection(ours)
    sockets.track("split", connection)
    sockets.set_server("split", connection, "a")

    assert (sockets.shutdown("split", "b"), sockets.shutdown("split", "a")) == (0, 1)
    assert theirs.recv(1) == b""
