"""Which sockets are cut, and that no other one is."""

import gc
import os
import socket
import threading
import warnings
from collections.abc import Iterator

import pytest

from switchyard.routing.monitor import sockets


class Connection:
    """A driver's connection, as far as it is asked here."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def fileno(self) -> int:
        return self.end.fileno()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's and a server's end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_sever__a_thread_that_waits(pair: tuple[socket.socket, socket.socket]) -> None:
    """It is woken: its connection has ended."""
    ours, _ = pair
    connection = Connection(ours)
    sockets.track("cut", connection)
    received: list[bytes] = []
    waiting = threading.Thread(target=lambda: received.append(ours.recv(1)))
    waiting.start()

    cut = sockets.shutdown("cut")
    waiting.join(5)

    assert (cut, received) == (1, [b""])


def test_sever__another_alias(pair: tuple[socket.socket, socket.socket]) -> None:
    """Its connections stay."""
    ours, theirs = pair
    connection = Connection(ours)
    sockets.track("kept", connection)

    cut = sockets.shutdown("another")
    theirs.send(b"a")

    assert (cut, connection.end.recv(1)) == (0, b"a")


def test_sever__a_descriptor_that_another_has_by_now(pair: tuple[socket.socket, socket.socket]) -> None:
    """A connection that was closed leaves its number to the next one, which is not cut."""
    ours, theirs = pair
    closed, rest = socket.socketpair()
    connection = Connection(closed)
    sockets.track("reused", connection)
    number = closed.fileno()
    closed.close()
    os.dup2(ours.fileno(), number)

    cut = sockets.shutdown("reused")
    theirs.send(b"a")

    with rest, socket.socket(fileno=number) as another:
        assert (cut, another.recv(1)) == (0, b"a")


def test_sever__a_closed_connection(pair: tuple[socket.socket, socket.socket]) -> None:
    """It has nothing to cut."""
    connection = Connection(pair[0])
    sockets.track("closed", connection)
    pair[0].close()

    assert sockets.shutdown("closed") == 0


def test_sever__a_connection_that_nobody_holds(pair: tuple[socket.socket, socket.socket]) -> None:
    """It is forgotten with its owner."""
    sockets.track("forgotten", Connection(pair[0]))
    gc.collect()

    assert sockets.shutdown("forgotten") == 0


def test_register__a_file() -> None:
    """A connection without a socket is none to cut."""
    sockets.track("file", object())

    assert sockets.shutdown("file") == 0


def test_sever__in_a_forked_process(pair: tuple[socket.socket, socket.socket]) -> None:
    """The parent's connections are not its to cut."""
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


def test_servers__by_open_connections(pair: tuple[socket.socket, socket.socket]) -> None:
    """A server that has ended its connection counts no more, though its last words are unread and no other is left."""
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


def test_register__again(pair: tuple[socket.socket, socket.socket]) -> None:
    """Where a connection leads stays known, but not of one that has another socket now."""
    connection = Connection(pair[0])
    sockets.track("again", connection)
    sockets.set_server("again", connection, "a")
    sockets.track("again", connection)
    before = sockets.server_of("again", connection)
    connection.end = pair[1]
    sockets.track("again", connection)

    assert (before, sockets.server_of("again", connection)) == ("a", "")


def test_sever__one_server(pair: tuple[socket.socket, socket.socket]) -> None:
    """Connections to another one stay."""
    ours, theirs = pair
    connection = Connection(ours)
    sockets.track("split", connection)
    sockets.set_server("split", connection, "a")

    assert (sockets.shutdown("split", "b"), sockets.shutdown("split", "a")) == (0, 1)
    assert theirs.recv(1) == b""
