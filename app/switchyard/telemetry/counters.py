"""The counters of this process: every thread adds to a row of its own, and readers see the sums.

The metrics are in metrics.py, the rows in storage.py and shared_storage.py. No Django here, so that the exporter, a
process without settings, stays small.
"""

import logging
import os
import threading
from bisect import bisect_left
from collections.abc import Mapping

from switchyard.telemetry.exposition import prometheus_metrics
from switchyard.telemetry.layout import Layout
from switchyard.telemetry.shared_storage import LayoutInUseError, SharedStorage
from switchyard.telemetry.storage import Cells, Storage

logger = logging.getLogger(__name__)

type MetricSample = tuple[str, tuple[tuple[str, str], ...]]


class Counters:
    """The rows of this process's threads: in the shared file of a directory, or in own memory without a directory."""

    def __init__(self, layout: Layout, directory: str | None) -> None:
        self.layout = layout
        self._directory = directory
        self._opening = threading.Lock()
        self.thread_local = threading.local()  # `.cells`: the row of the calling thread, once it has one
        self._storage: Storage | None = None
        # A forked child takes rows of its own.
        os.register_at_fork(after_in_child=self._discard)

    def open(self) -> Storage:
        """Return the storage of this process; the first call opens it."""
        with self._opening:
            if self._storage is None:
                self._storage = self._open()
            return self._storage

    def cells(self) -> Cells:
        """Return the row of the calling thread. Do not keep it: after the thread ends, another thread writes it."""
        try:
            cells: Cells = self.thread_local.cells
        except AttributeError:
            self.thread_local.lease = _Lease(self.open())
            cells = self.thread_local.cells = self.thread_local.lease.cells
        return cells

    def count(self, metric: str, *label_values: str, amount: float) -> None:
        """Add the amount to one child of a counter, in the row of the calling thread."""
        if self.layout.family(metric).buckets:
            raise ValueError(f"{metric} is a histogram, and count() adds to counters only.")
        if amount < 0:
            raise ValueError(f"A counter never decreases, so count() cannot add {amount} to {metric}.")
        self.cells()[self.layout.index_of(metric, *label_values)] += amount

    def observe(self, metric: str, *label_values: str, value: float) -> None:
        """Add a value to one child of a histogram, in the row of the calling thread."""
        buckets = self.layout.family(metric).buckets
        first, cells = self.layout.index_of(metric, *label_values), self.cells()
        cells[first + bisect_left(buckets, value)] += 1.0
        cells[first + len(buckets) + 1] += value

    def samples(self) -> Mapping[MetricSample, float]:
        """Return every sample that /metrics shows: the sums over all processes that share the directory."""
        return {
            (sample.name, tuple(sample.labels.items())): sample.value
            for metric in prometheus_metrics(self.layout, self.open().totals())
            for sample in metric.samples
        }

    def _discard(self) -> None:
        self._opening = threading.Lock()
        self.thread_local.__dict__.clear()
        self._storage = None

    def _open(self) -> Storage:
        if self._directory is None:
            return Storage(self.layout)
        try:
            return SharedStorage(self.layout, self._directory)
        except LayoutInUseError:
            logger.warning(
                "Counting in this process only: running processes count in %s under other label sets (aliases, apps)."
                " Give all processes that share METRICS_DIR the same settings, or stop the older processes first.",
                self._directory,
            )
            return Storage(self.layout)


class _Lease:
    """Gives the row of a thread back when the thread ends, which deletes its thread-local attributes."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.cells = storage.claim()

    def __del__(self) -> None:
        self._storage.release(self.cells)


_current: Counters | None = None


def start(layout: Layout, directory: str | None) -> Counters:
    """Open the counters of this process; a later call returns the same counters.

    Raises OSError if the directory cannot be used.
    """
    global _current  # noqa: PLW0603 - a process has one set of counters, as it has one set of settings
    if _current is None:
        counters = Counters(layout, directory)
        counters.open()
        _current = counters
    return _current


def current() -> Counters:
    """Return the counters of this process. Raises RuntimeError before `start()`."""
    if _current is None:
        raise RuntimeError("The counters are not open: add 'switchyard' to INSTALLED_APPS and call django.setup().")
    return _current


def count(metric: str, *label_values: str, amount: float = 1.0) -> None:
    """Add to a counter, where the counted event happens.

    `metric` is the name of a Family in telemetry/metrics.py. `label_values` holds one value for each label of the
    metric, in the order of docs/metrics.md; an unknown value counts as "other". No lock and no query.

    Raises ValueError for an unknown metric, a histogram, a wrong number of label values, an unknown value of a label
    without "other", and a negative amount; RuntimeError before Django is set up.

    >>> from switchyard.telemetry import count
    >>> count("switchyard_positions_rejected_total", "forged")
    >>> count("switchyard_violations_total", "replica_write", "replica", amount=2)
    """
    current().count(metric, *label_values, amount=amount)


def snapshot() -> Mapping[MetricSample, float]:
    """Return every sample that /metrics shows, by its name and labels: (name, ((label, value), ...)) -> number.

    The labels are in the order of docs/metrics.md. The numbers are sums over all processes that share METRICS_DIR;
    without METRICS_DIR, the numbers of this process. No query.

    Raises RuntimeError before Django is set up.

    >>> from switchyard.telemetry import count, snapshot
    >>> sample = "switchyard_positions_rejected_total", (("reason", "forged"),)
    >>> before = snapshot()[sample]
    >>> count("switchyard_positions_rejected_total", "forged")
    >>> snapshot()[sample] - before
    1.0
    """
    return current().samples()
