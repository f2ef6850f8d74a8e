"""The counters of a process: each thread finds its own row here, and whoever shows the numbers finds the sums.

What is counted is said in families.py, where the rows lie in table.py and shared.py. Knows no Django, so that the
exporter, a process without settings, stays small.
"""

import logging
import os
import threading
from collections.abc import Mapping

from switchyard.telemetry.exposition import metrics
from switchyard.telemetry.layout import Layout
from switchyard.telemetry.shared import LayoutInUseError, SharedTable
from switchyard.telemetry.table import Cells, OwnTable

logger = logging.getLogger(__name__)

type MetricSample = tuple[str, tuple[tuple[str, str], ...]]


class Counters:
    """The rows of this process's threads, in the directory's shared file, or in own memory without a directory."""

    def __init__(self, layout: Layout, directory: str | None) -> None:
        self.layout = layout
        self._directory = directory
        self._opening = threading.Lock()
        self.thread = threading.local()  # `.cells`: the calling thread's row, once it has one
        self._table: OwnTable | None = None
        # A forked child leaves its parent's rows alone and takes its own.
        os.register_at_fork(after_in_child=self._forget)

    def open(self) -> OwnTable:
        """Return this process's table, opened where it was not yet."""
        with self._opening:
            if self._table is None:
                self._table = self._open()
            return self._table

    def cells(self) -> Cells:
        """Return the calling thread's row. Never keep it: it is another thread's once this one has ended."""
        try:
            cells: Cells = self.thread.cells
        except AttributeError:
            self.thread.lease = _Lease(self.open())
            cells = self.thread.cells = self.thread.lease.cells
        return cells

    def samples(self) -> Mapping[MetricSample, float]:
        """Return every sample that /metrics shows, summed over all processes that share the directory."""
        return {
            (sample.name, tuple(sample.labels.items())): sample.value
            for metric in metrics(self.layout, self.open().totals())
            for sample in metric.samples
        }

    def _forget(self) -> None:
        self._opening = threading.Lock()
        self.thread.__dict__.clear()
        self._table = None

    def _open(self) -> OwnTable:
        if self._directory is None:
            return OwnTable(self.layout)
        try:
            return SharedTable(self.layout, self._directory)
        except LayoutInUseError:
            logger.warning(
                "Counting in this process only: running processes count in %s under other label sets (aliases, apps)."
                " Give all processes that share METRICS_DIR the same settings, or stop the older ones first.",
                self._directory,
            )
            return OwnTable(self.layout)


class _Lease:
    """Gives a thread's row back when the thread ends and takes its locals with it."""

    def __init__(self, table: OwnTable) -> None:
        self._table = table
        self.cells = table.claim()

    def __del__(self) -> None:
        self._table.release(self.cells)


_current: Counters | None = None


def start(layout: Layout, directory: str | None) -> Counters:
    """Open the process's counters, or return those that are open. Raises OSError when the directory cannot be used."""
    global _current  # noqa: PLW0603 - a process has one set of counters, as it has one set of settings
    if _current is None:
        counters = Counters(layout, directory)
        counters.open()
        _current = counters
    return _current


def current() -> Counters:
    """Return the process's counters."""
    if _current is None:
        raise RuntimeError("Nothing is counted yet: add 'switchyard' to INSTALLED_APPS and let Django set up.")
    return _current


def snapshot() -> Mapping[MetricSample, float]:
    """Return all that /metrics shows, as (name, ((label, value), ...)) -> number, labels in their documented order.

    Sums over all processes that share METRICS_DIR, or of this process without one.
    """
    return current().samples()
