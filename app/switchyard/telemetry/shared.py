"""The counters of several processes in one file, best on tmpfs, which describes itself.

A row belongs to the process that holds its lock. The kernel lets go of the lock when the process dies, however it
dies: nothing counted is lost, and the next process to ask takes the lowest free row and adds to it. So the file grows
with the number of threads that count at the same time, never with restarts. Readers need no lock: a cell is eight
aligned bytes, and a file appears whole, by a rename.
"""

import fcntl
import logging
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from switchyard.telemetry.layout import Layout
from switchyard.telemetry.table import DOUBLE, Cells, OwnTable, total

logger = logging.getLogger(__name__)

COUNTERS = "counters"
LOCKS = "counters.lock"  # a file apart: closing any handle of a file drops the locks that the process holds on it
OPENING, FIRST_ROW = 0, 1  # bytes of LOCKS
PAGE = mmap.ALLOCATIONGRANULARITY


class LayoutInUseError(Exception):
    """Living processes count in the file under other label sets."""


class Counts(NamedTuple):
    """What a file says: how its rows are laid out, and each cell summed over them."""

    layout: Layout
    totals: list[float]


def read(directory: str | Path) -> Counts | None:
    """Return the sums over all processes, None before the first of them has made the file."""
    try:
        content = (Path(directory) / COUNTERS).read_bytes()
    except FileNotFoundError:
        return None
    layout = _layout(content)
    first, stride = len(_header(layout)), _stride(layout)
    rows = (content[start : start + stride] for start in range(first, len(content), stride))
    return Counts(layout, total(layout, (row for row in rows if row.count(0) != len(row))))


class SharedTable(OwnTable):
    """The rows of one process in the file.

    Raises LayoutInUseError, or OSError where the directory cannot be written.
    """

    def __init__(self, layout: Layout, directory: str | Path) -> None:
        super().__init__(layout)
        self._path = Path(directory) / COUNTERS
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._claiming = Lock()
        self._next_row = 0
        # Never closed: see LOCKS. A forked child forgets its parent's handles and opens its own.
        self._locks = os.open(self._path.with_name(LOCKS), os.O_RDWR | os.O_CREAT, 0o644)
        with self._opening():
            self._make_file()
            self._file = os.open(self._path, os.O_RDWR)

    def totals(self) -> list[float]:
        """Return each cell summed over the rows of all processes."""
        counts = read(self._path.parent)
        return counts.totals if counts and counts.layout == self.layout else super().totals()

    def _new_row(self) -> Cells:
        try:
            with self._claiming:
                row = self._lock_lowest_free_row()
            return self._map(row)
        except OSError:
            logger.exception(
                "Counting one thread in this process only: %s cannot grow. Give its file system more room.", self._path
            )
            return super()._new_row()

    def _map(self, row: int) -> Cells:
        stride = _stride(self.layout)
        start = len(_header(self.layout)) + row * stride
        # Written back as it is, so that a full file system says so here and does not kill the process at a count.
        os.pwrite(self._file, os.pread(self._file, stride, start).ljust(stride, b"\0"), start)
        mapped = mmap.mmap(self._file, stride, offset=start)
        return memoryview(mapped)[: self.layout.cells * DOUBLE].cast("d")

    def _lock_lowest_free_row(self) -> int:
        while True:
            row = self._next_row
            self._next_row += 1
            if _try_lock(self._locks, FIRST_ROW + row, 1):
                return row

    @contextmanager
    def _opening(self) -> Iterator[None]:
        fcntl.lockf(self._locks, fcntl.LOCK_EX, 1, OPENING)
        try:
            yield
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, OPENING)

    def _make_file(self) -> None:
        """Make the file unless it is there with the same layout."""
        header = _header(self.layout)
        if self._path.exists():
            with self._path.open("rb") as file:
                if file.read(len(header)) == header:
                    return
            if not _try_lock(self._locks, FIRST_ROW, 0):
                raise LayoutInUseError
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 0, FIRST_ROW)
        draft = self._path.with_suffix(".new")
        draft.write_bytes(header)
        draft.replace(self._path)


def _try_lock(file: int, start: int, length: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
    except (BlockingIOError, PermissionError):  # which of the two is up to the platform
        return False
    return True


def _header(layout: Layout) -> bytes:
    described = layout.to_json().encode() + b"\n"
    return described.ljust(-(-len(described) // PAGE) * PAGE, b" ")


def _layout(content: bytes) -> Layout:
    return Layout.from_json(content[: content.index(b"\n")].decode())


def _stride(layout: Layout) -> int:
    return -(-layout.cells * DOUBLE // PAGE) * PAGE
