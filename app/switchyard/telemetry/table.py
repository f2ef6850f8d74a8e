"""Rows of doubles, one for each thread that counts, in this process's own memory.

Only its thread writes a row, so `+=` on a cell needs no lock. A thread that ends gives its row back; what the row
holds stays, and the next thread goes on adding to it.
"""

from array import array
from collections import deque
from collections.abc import Iterable

from switchyard.telemetry.layout import Layout

DOUBLE = 8  # bytes

type Cells = memoryview[float]
type Row = bytes | bytearray | memoryview


def total(layout: Layout, rows: Iterable[Row]) -> list[float]:
    """Return each cell summed over the rows."""
    totals = array("d", bytes(layout.cells * DOUBLE))
    for row in rows:
        cells = memoryview(row)[: layout.cells * DOUBLE].cast("d")
        totals = array("d", map(float.__add__, totals, cells))
    return totals.tolist()


class OwnTable:
    """Rows that only this process sees."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._rows: list[bytearray] = []
        self._free: deque[Cells] = deque()

    def claim(self) -> Cells:
        """Return a row that no other thread writes."""
        try:
            return self._free.pop()
        except IndexError:
            return self._new_row()

    def release(self, cells: Cells) -> None:
        """Let another thread go on with the row. Takes no lock: finalizers call this at any point."""
        self._free.append(cells)

    def totals(self) -> list[float]:
        """Return each cell summed over all rows."""
        return total(self.layout, list(self._rows))

    def _new_row(self) -> Cells:
        row = bytearray(self.layout.cells * DOUBLE)
        self._rows.append(row)
        return memoryview(row).cast("d")
