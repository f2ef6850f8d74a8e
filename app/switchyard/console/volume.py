"""The query volume of each alias as rows for the page. Reads the counters in memory, and no database."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from switchyard.telemetry import snapshot
from switchyard.telemetry.counters import MetricSample
from switchyard.telemetry.metrics import OPERATIONS, QUERIES


@dataclass(frozen=True)
class Share:
    """The queries of one operation on an alias. `percent` relates to the busiest alias, so that bars compare."""

    operation: str
    queries: int
    percent: float


@dataclass(frozen=True)
class Volume:
    """The queries of one alias since the counters began."""

    alias: str
    queries: int
    shares: tuple[Share, ...]


def volumes(aliases: tuple[str, ...], samples: Mapping[MetricSample, float] | None = None) -> tuple[Volume, ...]:
    """Return the query volume of each alias, in the given order. Without `samples`, the counters are read now."""
    counts: Counter[tuple[str, str]] = Counter()
    for (name, labels), value in (snapshot() if samples is None else samples).items():
        if name == QUERIES:
            label_values = dict(labels)
            counts[label_values["alias"], label_values["operation"]] += int(value)
    totals = {alias: sum(counts[alias, operation] for operation in OPERATIONS) for alias in aliases}
    busiest = max(totals.values(), default=0) or 1
    return tuple(
        Volume(
            alias=alias,
            queries=totals[alias],
            shares=tuple(
                Share(operation, counts[alias, operation], round(100 * counts[alias, operation] / busiest, 2))
                for operation in OPERATIONS
                if counts[alias, operation]
            ),
        )
        for alias in aliases
    )
