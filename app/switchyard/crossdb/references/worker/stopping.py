"""A request to stop the worker, by SIGTERM or SIGINT."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_SLICE_SECONDS = 0.1


class Stop:
    """Whether the stop is requested. A handler of signals must not take locks, so this is no `threading.Event`."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Request the stop."""
        self._is_set = True

    def is_set(self) -> bool:
        """Return True if the stop is requested."""
        return self._is_set

    def wait(self, seconds: float) -> None:
        """Sleep for so long, or until the stop is requested."""
        deadline = time.monotonic() + seconds
        while not self._is_set and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_SECONDS))


@contextmanager
def stops_on_signals() -> Iterator[Stop]:
    """Take SIGTERM and SIGINT for a request to stop in this block. A second signal ends the process at once.

    In a thread, signals stay as they are.
    """
    stop = Stop()

    def handle(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT) if is_main}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
