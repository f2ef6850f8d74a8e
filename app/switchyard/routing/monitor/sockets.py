"""The sockets of each alias' open connections: which server each leads to, and how to shut one down from any thread.

Only the end of its connection wakes a thread that waits inside a driver for a hung server. A connection that is still
being opened is not known here: connections/connect.py ends the wait for it.
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

# The poll event for a peer that has closed its end, even if sent data is still unread.
_PEER_CLOSED = getattr(select, "POLLRDHUP", select.POLLHUP)


class SocketRef(NamedTuple):
    """The socket of a driver connection, as it was when the connection was tracked."""

    descriptor: int
    inode: tuple[int, int]  # device and number; they identify the socket, because its descriptor may be reused
    server: str = ""  # its id; empty until known


_sockets: defaultdict[str, WeakKeyDictionary[Any, SocketRef]] = defaultdict(WeakKeyDictionary)
_lock = threading.Lock()


def track(alias: str, connection: Any) -> None:
    """Remember the socket of a driver connection that was opened or taken from a pool; a file has no socket.

    A connection that is tracked again with the same socket keeps its server.
    """
    if (descriptor := getattr(connection, "fileno", None)) is None:
        return
    ref = SocketRef(descriptor(), _inode(descriptor()))
    with _lock:
        known = _sockets[alias].get(connection)
        _sockets[alias][connection] = known if known is not None and known[:2] == ref[:2] else ref


def set_server(alias: str, connection: Any, server: str) -> None:
    """Remember the server of a tracked connection."""
    with _lock:
        _sockets[alias][connection] = _sockets[alias][connection]._replace(server=server)


def server_of(alias: str, connection: Any) -> str:
    """Return the server that the connection leads to; empty if it is unknown."""
    ref = _sockets[alias].get(connection)
    return ref.server if ref is not None else ""


def connected_servers(alias: str, excluded: AbstractSet[str]) -> set[str]:
    """Return servers with at least one open connection for this alias, without the `excluded` servers."""
    with _lock:
        refs = [ref for ref in _sockets[alias].values() if ref.server and ref.server not in excluded]
    return {ref.server for ref in refs if _is_open(ref)}


def shutdown(alias: str, server: str = "") -> int:
    """Shut down the sockets of the alias' open connections, or only of those to `server`, and return their number.

    A thread that waits for such a connection gets the driver's error of a lost connection, and closes it itself.
    """
    with _lock:
        refs = [ref for ref in _sockets[alias].values() if server in {"", ref.server}]
    return sum(_shut_down(ref) for ref in refs)


def shutdown_connection(alias: str, connection: Any) -> bool:
    """Shut down the socket of one tracked connection, as `shutdown()` does; return False if it is closed already."""
    with _lock:
        ref = _sockets[alias].get(connection)
    return ref is not None and _shut_down(ref)


def _shut_down(ref: SocketRef) -> bool:
    with _socket_of(ref) as end, suppress(OSError):
        if end is not None:
            end.shutdown(socket.SHUT_RDWR)
            return True
    return False  # closed already


def _is_open(ref: SocketRef) -> bool:
    with _socket_of(ref) as end:
        if end is None:
            return False
        poll = select.poll()
        poll.register(end, _PEER_CLOSED)
        return not poll.poll(0)


@contextmanager
def _socket_of(ref: SocketRef) -> Iterator[socket.socket | None]:
    """Yield a duplicate of the connection's socket; None if the connection is closed."""
    # The thread of the connection may close it meanwhile, and its descriptor may be reused. A duplicate stays the same,
    # so that it can be identified before it is used.
    try:
        duplicate = os.dup(ref.descriptor)
    except OSError:
        yield None
        return
    if _inode(duplicate) != ref.inode:
        os.close(duplicate)
        yield None
        return
    with socket.socket(fileno=duplicate) as end:
        yield end


def _inode(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _after_fork() -> None:
    """Forget the connections of the parent process: a shutdown here would end them there."""
    global _lock  # noqa: PLW0603 - another thread may have held it
    _lock = threading.Lock()
    _sockets.clear()


os.register_at_fork(after_in_child=_after_fork)
