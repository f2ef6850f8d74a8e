"""The open connections of each alias: which server each leads to, and how to cut them from another thread.

A thread that waits inside a driver for a hung server is woken by nothing but the end of its connection. What is still
being opened is not here: `connect_timeout` ends that.
"""

import os
import select
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

# That the other end sends no more, though what it has sent may be unread.
_PEER_CLOSED = getattr(select, "POLLRDHUP", select.POLLHUP)


class SocketRef(NamedTuple):
    """Where a connection's socket was when it was opened."""

    descriptor: int
    inode: tuple[int, int]  # the socket's own for as long as it is open, whatever its descriptor is used for later
    server: str = ""  # where it leads, once it was asked


_places: defaultdict[str, WeakKeyDictionary[Any, SocketRef]] = defaultdict(WeakKeyDictionary)
_lock = threading.Lock()


def track(alias: str, connection: Any) -> None:
    """Take down the socket of a driver connection, just opened or taken from a pool; a file's has none.

    Where it leads stays known.
    """
    if (descriptor := getattr(connection, "fileno", None)) is None:
        return
    place = SocketRef(descriptor(), _inode(descriptor()))
    with _lock:
        known = _places[alias].get(connection)
        _places[alias][connection] = known if known is not None and known[:2] == place[:2] else place


def set_server(alias: str, connection: Any, server: str) -> None:
    """Take down which server a registered connection leads to."""
    with _lock:
        _places[alias][connection] = _places[alias][connection]._replace(server=server)


def server_of(alias: str, connection: Any) -> str:
    """Return the server that the connection leads to, empty where it is not known."""
    place = _places[alias].get(connection)
    return place.server if place is not None else ""


def connected_servers(alias: str, beside: AbstractSet[str]) -> set[str]:
    """Return the servers that the alias' connections lead to beside these, but for those that have ended them all."""
    with _lock:
        places = [place for place in _places[alias].values() if place.server and place.server not in beside]
    return {place.server for place in places if _is_open(place)}


def shutdown(alias: str, server: str = "") -> int:
    """Shut down the sockets of the alias' open connections, or of those to one server, and return how many.

    Whoever waits for one of them gets the driver's error of a lost connection. The connections are left to their
    threads to close.
    """
    with _lock:
        places = [place for place in _places[alias].values() if server in {"", place.server}]
    return sum(_shut_down(place) for place in places)


def _shut_down(place: SocketRef) -> bool:
    with _socket_of(place) as same, suppress(OSError):
        if same is not None:
            same.shutdown(socket.SHUT_RDWR)
            return True
    return False  # its server has closed it


def _is_open(place: SocketRef) -> bool:
    with _socket_of(place) as same:
        if same is None:
            return False
        poll = select.poll()
        poll.register(same, _PEER_CLOSED)
        return not poll.poll(0)


@contextmanager
def _socket_of(place: SocketRef) -> Iterator[socket.socket | None]:
    """Yield the connection's socket, None if it is closed."""
    # Its owner may close the connection meanwhile, and the descriptor may be another's by now. A duplicate stays what
    # it is, so that it can be looked at before it is used.
    try:
        duplicate = os.dup(place.descriptor)
    except OSError:
        yield None
        return
    if _inode(duplicate) != place.inode:
        os.close(duplicate)
        yield None
        return
    with socket.socket(fileno=duplicate) as same:
        yield same


def _inode(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _after_fork() -> None:
    """Forget the parent's connections: to shut one down here would end it there."""
    global _lock  # noqa: PLW0603 - another thread may have held it
    _lock = threading.Lock()
    _places.clear()


os.register_at_fork(after_in_child=_after_fork)
