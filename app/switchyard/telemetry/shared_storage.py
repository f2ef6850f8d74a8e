"""Rows of several processes in one file, which describes its own layout. Put its directory on tmpfs.

A row belongs to the process that holds its lock. When a process dies, also by SIGKILL, the kernel releases its locks
and the numbers stay; the next process takes the lowest free row and adds to it. The file therefore grows with the
number of threads that count at the same time, and not with restarts. Readers need no lock: a cell is eight aligned
bytes, and a new file appears complete, by a rename.
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
from switchyard.telemetry.storage import DOUBLE_BYTES, Cells, Storage, sum_rows

logger = logging.getLogger(__name__)

COUNTERS_FILE = "counters"
# Another file than the counters: closing any handle of a file releases all locks that the process holds on it.
LOCKS_FILE = "counters.lock"
OPENING_OFFSET, FIRST_ROW_OFFSET = 0, 1  # locked bytes of LOCKS_FILE
PAGE_BYTES = mmap.ALLOCATIONGRANULARITY


class LayoutInUseError(Exception):
    """Running processes count in the file under other label sets."""


class Counts(NamedTuple):
    """The content of a file: the layout of its rows, and the sum of each cell over them."""

    layout: Layout
    totals: list[float]


def read(directory: str | Path) -> Counts | None:
    """Return the sums over all processes; None if no process has made the file yet."""
    try:
        content = (Path(directory) / COUNTERS_FILE).read_bytes()
    except FileNotFoundError:
        return None
    layout = _layout(content)
    first, row_bytes = len(_header(layout)), _row_bytes(layout)
    rows = (content[start : start + row_bytes] for start in range(first, len(content), row_bytes))
    return Counts(layout, sum_rows(layout, (row for row in rows if row.count(0) != len(row))))


class SharedStorage(Storage):
    """The rows of this process in the file.

    Raises LayoutInUseError, and OSError if the directory cannot be written.
    """

    def __init__(self, layout: Layout, directory: str | Path) -> None:
        super().__init__(layout)
        self._path = Path(directory) / COUNTERS_FILE
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._claiming = Lock()
        self._next_row = 0
        # Never closed: see LOCKS_FILE. A forked child discards its parent's handles and opens its own.
        self._locks = os.open(self._path.with_name(LOCKS_FILE), os.O_RDWR | os.O_CREAT, 0o644)
        with self._opening():
            self._make_file()
            self._file = os.open(self._path, os.O_RDWR)

    @property
    def directory(self) -> Path:
        """The directory of the file."""
        return self._path.parent

    def totals(self) -> list[float]:
        """Return the sum of each cell over the rows of all processes."""
        counts = read(self._path.parent)
        return counts.totals if counts and counts.layout == self.layout else super().totals()

    def _new_row(self) -> Cells:
        try:
            with self._claiming:
                row = self._lock_lowest_free_row()
            return self._map(row)
        except OSError:
            logger.exception(
                "Counting one thread in this process only: %s cannot grow. Give its file system more space.", self._path
            )
            return super()._new_row()

    def _map(self, row: int) -> Cells:
        row_bytes = _row_bytes(self.layout)
        start = len(_header(self.layout)) + row * row_bytes
        # Written back unchanged: a full file system then raises here, and does not kill the process at a later count.
        os.pwrite(self._file, os.pread(self._file, row_bytes, start).ljust(row_bytes, b"\0"), start)
        mapped = mmap.mmap(self._file, row_bytes, offset=start)
        return memoryview(mapped)[: self.layout.cell_count * DOUBLE_BYTES].cast("d")

    def _lock_lowest_free_row(self) -> int:
        while True:
            row = self._next_row
            self._next_row += 1
            if _try_lock(self._locks, FIRST_ROW_OFFSET + row, 1):
                return row

    @contextmanager
    def _opening(self) -> Iterator[None]:
        fcntl.lockf(self._locks, fcntl.LOCK_EX, 1, OPENING_OFFSET)
        try:
            yield
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, OPENING_OFFSET)

    def _make_file(self) -> None:
        """Make the file, unless a file with the same layout exists."""
        header = _header(self.layout)
        if self._path.exists():
            with self._path.open("rb") as file:
                if file.read(len(header)) == header:
                    return
            if not _try_lock(self._locks, FIRST_ROW_OFFSET, 0):
                raise LayoutInUseError
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 0, FIRST_ROW_OFFSET)
        draft = self._path.with_suffix(".new")
        draft.write_bytes(header)
        draft.replace(self._path)


def _try_lock(file: int, start: int, length: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
    except (BlockingIOError, PermissionError):  # the platform decides which one
        return False
    return True


def _header(layout: Layout) -> bytes:
    described = layout.to_json().encode() + b"\n"
    return described.ljust(-(-len(described) // PAGE_BYTES) * PAGE_BYTES, b" ")


def _layout(content: bytes) -> Layout:
    return Layout.from_json(content[: content.index(b"\n")].decode())


def _row_bytes(layout: Layout) -> int:
    return -(-layout.cell_count * DOUBLE_BYTES // PAGE_BYTES) * PAGE_BYTES
