"""A stop that is asked for by SIGTERM: the running migration ends, and no other one begins."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SLICE_SECONDS = 0.1


class StoppedError(Exception):
    """SIGTERM arrived, and the next step was not begun."""

    def __init__(self) -> None:
        super().__init__(
            "Stopped by SIGTERM: the running migration ended, and no other one began. The next start continues."
        )


class _Stop:
    """Whether SIGTERM has arrived. A handler of signals must not take locks, so this is no `threading.Event`."""

    def __init__(self) -> None:
        self.requested = False
        self.inside = False  # a migration runs that may be left in the middle

    def request(self) -> None:
        """Ask for the stop."""
        self.requested = True

    def reset(self) -> None:
        """Forget the request."""
        self.requested = False

    def enter(self) -> None:
        """Begin a migration that may be left in the middle."""
        self.inside = True

    def leave(self) -> None:
        """End such a migration."""
        self.inside = False


_stop = _Stop()


def stop_requested() -> bool:
    """Return True if SIGTERM has arrived in the current block of `stops_on_sigterm()`."""
    return _stop.requested


def raise_if_stopped() -> None:
    """Raise StoppedError if SIGTERM has arrived."""
    if _stop.requested:
        raise StoppedError


def raise_if_stopped_inside() -> None:
    """As `raise_if_stopped()`, in the middle of a migration that may be left there; do nothing in any other."""
    if _stop.inside:
        raise_if_stopped()


@contextmanager
def may_stop_inside() -> Iterator[None]:
    """Let `raise_if_stopped_inside()` leave the migration that runs in this block."""
    _stop.enter()
    try:
        yield
    finally:
        _stop.leave()


def pause(seconds: float) -> None:
    """Sleep. Raise StoppedError as soon as SIGTERM arrives."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        raise_if_stopped()
        time.sleep(min(left, _SLICE_SECONDS))
    raise_if_stopped()


@contextmanager
def stops_on_sigterm(then: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Take SIGTERM for a request to stop in this block, and call `then`. In a thread, signals stay as they are."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def request(_number: int, _frame: FrameType | None) -> None:
        _stop.request()
        then()

    before = signal.signal(signal.SIGTERM, request)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        _stop.reset()
