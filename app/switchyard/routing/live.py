"""The open sockets of each alias, and how to cut them from another thread.

A thread that waits inside a driver for a hung server is woken by nothing but the end of its connection. What is still
being opened is not here: `connect_timeout` ends that.
"""

import os
import socket
import threading
from collections import defaultdict
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary


class _Place(NamedTuple):
    """Where a connection's socket was when it was opened."""

    descriptor: int
    inode: tuple[int, int]  # the socket's own for as long as it is open, whatever its descriptor is used for later


_places: defaultdict[str, WeakKeyDictionary[Any, _Place]] = defaultdict(WeakKeyDictionary)
_lock = threading.Lock()


def register(alias: str, connection: Any) -> None:
    """Take down the socket of a driver connection, just opened or taken from a pool; a file's has none."""
    if (descriptor := getattr(connection, "fileno", None)) is None:
        return
    place = _Place(descriptor(), _inode(descriptor()))
    with _lock:
        _places[alias][connection] = place


def sever(alias: str) -> int:
    """Shut down the sockets of the alias' open connections, and return how many.

    Whoever waits for one of them gets the driver's error of a lost connection. The connections are left to their
    threads to close.
    """
    with _lock:
        places = list(_places[alias].values())
    return sum(_shut_down(place) for place in places)


def _shut_down(place: _Place) -> bool:
    # Its owner may close the connection meanwhile, and the descriptor may be another's by now. A duplicate stays what
    # it is, so that it can be looked at before it is shut down.
    try:
        duplicate = os.dup(place.descriptor)
    except OSError:
        return False
    if _inode(duplicate) != place.inode:
        os.close(duplicate)
        return False
    with socket.socket(fileno=duplicate) as same, suppress(OSError):
        same.shutdown(socket.SHUT_RDWR)
        return True
    return False  # its server has closed it


def _inode(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _after_fork() -> None:
    """Forget the parent's connections: to shut one down here would end it there."""
    global _lock  # noqa: PLW0603 - another thread may have held it
    _lock = threading.Lock()
    _places.clear()


os.register_at_fork(after_in_child=_after_fork)
