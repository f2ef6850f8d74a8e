"""The samples of the last fifteen minutes: in a file that processes share, or in the memory of one process.

A ring has one slot for each interval of the clock. The process that comes first in an interval fills the slot, so no
process is elected and none is missed when it dies. The file never grows. No Django and no settings.
"""

import fcntl
import os
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Protocol

INTERVAL_SECONDS = 5
HISTORY_SECONDS = 15 * 60
SLOTS = HISTORY_SECONDS // INTERVAL_SECONDS + 1

_DOUBLE_BYTES = 8
_HEADER_BYTES = 64

type Values = Sequence[float]


class Sample(NamedTuple):
    """The values at one moment."""

    at: float  # Unix time
    values: Values


class Ring(Protocol):
    """Where samples are kept."""

    def add(self, at: float, take: Callable[[], Values]) -> bool:
        """Keep the values that `take()` returns, unless there is a sample of this interval already.

        Return True if they were kept.
        """
        ...

    def samples(self, until: float) -> list[Sample]:
        """Return the samples of the fifteen minutes before the Unix time, the oldest first."""
        ...


class MemoryRing:
    """A ring that only this process has."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SLOTS)
        self._lock = Lock()

    def add(self, at: float, take: Callable[[], Values]) -> bool:
        """Keep the values, as `Ring` says."""
        with self._lock:
            if self._samples and _interval(self._samples[-1].at) == _interval(at):
                return False
            self._samples.append(Sample(at, take()))
            return True

    def samples(self, until: float) -> list[Sample]:
        """Return the samples, as `Ring` says."""
        with self._lock:
            return [each for each in self._samples if _is_recent(each.at, until)]


class FileRing:
    """A ring in a file. `key` (64 hexadecimal digits) names the meaning of the values: another key empties the file."""

    def __init__(self, path: Path, key: str, width: int) -> None:
        self._path = path
        self._header = key.encode().ljust(_HEADER_BYTES)
        self._slot_bytes = (1 + width) * _DOUBLE_BYTES

    def add(self, at: float, take: Callable[[], Values]) -> bool:
        """Keep the values, as `Ring` says. Raises OSError if the file cannot be written."""
        offset = _HEADER_BYTES + _interval(at) % SLOTS * self._slot_bytes
        with self._locked(fcntl.LOCK_EX) as file:
            if os.pread(file, _HEADER_BYTES, 0) != self._header:
                os.ftruncate(file, 0)
                os.pwrite(file, self._header, 0)
            before = array("d", os.pread(file, _DOUBLE_BYTES, offset))
            if before and _interval(before[0]) == _interval(at):
                return False
            # The time comes last: a process that dies in between leaves a slot that is too old to be read.
            os.pwrite(file, array("d", take()).tobytes(), offset + _DOUBLE_BYTES)
            os.pwrite(file, array("d", (at,)).tobytes(), offset)
            return True

    def samples(self, until: float) -> list[Sample]:
        """Return the samples, as `Ring` says. Raises OSError if the file cannot be read."""
        try:
            with self._locked(fcntl.LOCK_SH) as file:
                content = os.pread(file, _HEADER_BYTES + SLOTS * self._slot_bytes, 0)
        except FileNotFoundError:
            return []
        if not content.startswith(self._header):
            return []
        starts = range(_HEADER_BYTES, len(content) - self._slot_bytes + 1, self._slot_bytes)
        slots = (array("d", content[start : start + self._slot_bytes]) for start in starts)
        return sorted(Sample(slot[0], slot[1:]) for slot in slots if _is_recent(slot[0], until))

    @contextmanager
    def _locked(self, kind: int) -> Iterator[int]:
        # A reader may have no right to write: the exporter's container mounts the directory so.
        file = os.open(self._path, os.O_RDONLY if kind == fcntl.LOCK_SH else os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, kind)
            yield file
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # a child that another thread forked keeps the file open
            os.close(file)


def _interval(at: float) -> int:
    return int(at // INTERVAL_SECONDS)


def _is_recent(at: float, until: float) -> bool:
    return until - HISTORY_SECONDS - INTERVAL_SECONDS < at <= until
