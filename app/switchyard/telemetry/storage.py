"""Rows of doubles in the memory of this process, one for each thread that counts.

Only its thread writes a row, so `+=` on a cell needs no lock. A thread that ends gives its row back with the numbers in
it, and the next thread adds to them.
"""

from array import array
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from switchyard.telemetry.layout import Layout

DOUBLE_BYTES = 8

type Cells = memoryview[float]
type Row = bytes | bytearray | memoryview


def sum_rows(layout: Layout, rows: Iterable[Row]) -> list[float]:
    """Return the sum of each cell over the rows."""
    totals = array("d", bytes(layout.cell_count * DOUBLE_BYTES))
    for row in rows:
        cells = memoryview(row)[: layout.cell_count * DOUBLE_BYTES].cast("d")
        totals = array("d", map(float.__add__, totals, cells))
    return totals.tolist()


class Storage:
    """Rows that no other process sees."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._rows: list[bytearray] = []
        self._free: deque[Cells] = deque()

    @property
    def directory(self) -> Path | None:
        """The directory whose counters other processes share; None if no other process sees the rows."""
        return None

    def claim(self) -> Cells:
        """Return a row that no other thread writes."""
        try:
            return self._free.pop()
        except IndexError:
            return self._new_row()

    def release(self, cells: Cells) -> None:
        """Let another thread add to the row. Takes no lock, because finalizers call this at any point."""
        self._free.append(cells)

    def totals(self) -> list[float]:
        """Return the sum of each cell over all rows."""
        return sum_rows(self.layout, list(self._rows))

    def _new_row(self) -> Cells:
        row = bytearray(self.layout.cell_count * DOUBLE_BYTES)
        self._rows.append(row)
        return memoryview(row).cast("d")
