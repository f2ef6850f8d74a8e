"""What happened on each alias between two snapshots of the counters: rates, errors and quantiles of the durations."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf

from switchyard.telemetry.counters import MetricSample
from switchyard.telemetry.metrics import DURATION_BUCKET, ERRORS, QUERIES

type Snapshot = Mapping[MetricSample, float]


@dataclass
class Rates:
    """The work on one alias in a span of time, per second."""

    queries: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # by operation
    errors: float = 0.0
    durations: dict[float, float] = field(default_factory=lambda: defaultdict(float))  # upper bound -> calls up to it

    @property
    def total(self) -> float:
        """The queries of all operations."""
        return sum(self.queries.values())

    def quantile(self, share: float) -> float | None:
        """Return the duration in seconds that this share of the calls did not exceed; None without a call.

        Between two bounds of the histogram the calls count as spread evenly, as Prometheus counts them. A duration
        above the last bound is the last bound.
        """
        return quantile(share, sorted(self.durations.items()))


def quantile(share: float, cumulative: Sequence[tuple[float, float]]) -> float | None:
    """Return a quantile of a histogram whose buckets are cumulative: pairs of an upper bound and a number of calls.

    >>> quantile(0.5, [(1.0, 2), (2.0, 4), (inf, 4)])
    1.0
    """
    calls = cumulative[-1][1] if cumulative else 0
    if not calls:
        return None
    wanted = share * calls
    for (low, before), (high, until) in pairwise([(0.0, 0.0), *cumulative]):
        if until >= wanted:
            return low if high == inf or until == before else low + (high - low) * (wanted - before) / (until - before)
    return None


def rates(before: Snapshot, after: Snapshot, seconds: float) -> dict[str, Rates]:
    """Return the rates of each alias between two results of `switchyard.telemetry.snapshot()`, `seconds` apart."""
    found: dict[str, Rates] = defaultdict(Rates)
    for (name, labels), value in after.items():
        added = (value - before.get((name, labels), 0.0)) / seconds
        if added > 0:
            of = dict(labels)
            if name == QUERIES:
                found[of["alias"]].queries[of["operation"]] += added
            elif name == ERRORS:
                found[of["alias"]].errors += added
            elif name == DURATION_BUCKET:
                found[of["alias"]].durations[float(of["le"])] += added
    return found
