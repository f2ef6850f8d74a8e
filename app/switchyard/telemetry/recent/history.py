"""The counters of all processes, sampled every five seconds: rates and distributions of the last fifteen minutes.

A sample holds what the console shows, and not every counter: by alias the queries of each operation, the errors, the
durations, the decisions, and the connections that could not be had.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from math import inf
from pathlib import Path

from switchyard.telemetry import metrics
from switchyard.telemetry.counters import Counters
from switchyard.telemetry.layout import Layout
from switchyard.telemetry.recent.pod_record import DESCRIPTION_FILE, HISTORY_FILE
from switchyard.telemetry.recent.ring import FileRing, MemoryRing, Ring, Sample
from switchyard.telemetry.recent.whole_files import replace_text

_ANSWER = "IntegrityError"  # get_or_create() and unique columns cause it in a healthy service
_CONNECTION_COLUMNS = {metrics.POOL_TIMEOUTS: "pool_timeouts", metrics.CONNECTION_ERRORS: "connection_errors"}

# The kind of the number, and what it is about: ("queries", alias, operation), ("errors", alias), ("failures", alias)
# for the errors that are no answer of the server, ("durations", alias, upper bound in seconds),
# ("decisions", alias, operation, reason), ("pool_timeouts", alias), ("connection_errors", alias).
type Column = tuple[str, ...]


def columns(layout: Layout) -> Mapping[Column, Sequence[int]]:
    """Return the columns of a sample in their order, each with the cells of the counters whose sum it is."""
    found: dict[Column, list[int]] = defaultdict(list)
    for family, children in layout.children(range(layout.cell_count)):
        for label_values, cells in children:
            of = dict(zip(family.labels, label_values, strict=True))
            if family.name == metrics.QUERIES:
                found["queries", of["alias"], of["operation"]] += map(int, cells)
            elif family.name == metrics.ERRORS:
                found["errors", of["alias"]] += map(int, cells)
                if of["error"] != _ANSWER:
                    found["failures", of["alias"]] += map(int, cells)
            elif family.name == metrics.DECISIONS:
                found["decisions", of["alias"], of["operation"], of["reason"]] += map(int, cells)
            elif family.name == metrics.DURATION:
                for bound, cell in zip((*family.buckets, inf), cells[:-1], strict=True):
                    found["durations", of["alias"], str(bound)].append(int(cell))
            elif family.name in _CONNECTION_COLUMNS:
                found[_CONNECTION_COLUMNS[family.name], of["alias"]] += map(int, cells)
    return found


@dataclass(frozen=True)
class Span:
    """What was counted between two samples."""

    seconds: float
    added: Mapping[Column, float]


@dataclass(frozen=True)
class Recording:
    """The samples of the last fifteen minutes, and the newest counts."""

    columns: Mapping[Column, int]  # the index of each column in the values of a sample
    samples: Sequence[Sample]
    newest: Sample

    @property
    def times(self) -> list[float]:
        """The Unix times of the samples, the oldest first."""
        return [each.at for each in self.samples]

    def per_second(self, column: Column) -> list[float | None]:
        """Return the rate before each sample; None for the first, before which nothing is known."""
        index = self.columns[column]
        rates = (
            (after.values[index] - before.values[index]) / (after.at - before.at)
            for before, after in pairwise(self.samples)
        )
        return [None, *rates] if self.samples else []

    def last(self, seconds: float) -> Span | None:
        """Return what was counted in the last seconds, or since the oldest sample; None without a sample."""
        since = self.newest.at - seconds
        before = next((each for each in reversed(self.samples) if each.at <= since), next(iter(self.samples), None))
        if before is None or before.at >= self.newest.at:
            return None
        added = {
            column: self.newest.values[index] - before.values[index]
            for column, index in self.columns.items()
            if self.newest.values[index] > before.values[index]
        }
        return Span(self.newest.at - before.at, added)


class History:
    """The samples of these counters: in a file beside shared counters, otherwise in the memory of this process."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._columns = columns(counters.layout)
        self._directory = counters.open().directory
        self._is_described = False
        self._key = sha256(repr(list(self._columns.items())).encode()).hexdigest()
        self._ring: Ring = (
            MemoryRing()
            if self._directory is None
            else FileRing(self._directory / HISTORY_FILE, self._key, width=len(self._columns))
        )

    def sample(self, now: float) -> bool:
        """Keep the counts of now, unless a process has done so in this interval. `now` is the Unix time.

        Return True if they were kept. Raises OSError if METRICS_DIR cannot be written.
        """
        if self._directory is not None and not self._is_described:
            self._describe(self._directory)
            self._is_described = True
        return self._ring.add(now, self._values)

    def recording(self, now: float) -> Recording:
        """Return the samples up to the Unix time `now`, and the counts of now."""
        indexes = {column: index for index, column in enumerate(self._columns)}
        return Recording(indexes, self._ring.samples(now), Sample(now, self._values()))

    def _describe(self, directory: Path) -> None:
        """Write which columns a sample has, and which cells of the counters each of them sums."""
        description = {"key": self._key, "columns": list(self._columns.items())}
        replace_text(directory / DESCRIPTION_FILE, json.dumps(description, separators=(",", ":")))

    def _values(self) -> list[float]:
        totals = self._counters.open().totals()
        return [sum(totals[cell] for cell in cells) for cells in self._columns.values()]
