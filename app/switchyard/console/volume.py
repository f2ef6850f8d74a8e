"""What the counters say about each alias, folded into rows for the page. Reads shared memory, never a database."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from switchyard.telemetry import snapshot

OPERATIONS = ("read", "write", "ddl", "tx", "other")

Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass(frozen=True)
class Share:
    """One operation's part of an alias's queries; `percent` is of the busiest alias, so that bars compare."""

    operation: str
    queries: int
    percent: float


@dataclass(frozen=True)
class Volume:
    """The queries of one alias since the counters began."""

    alias: str
    queries: int
    shares: tuple[Share, ...]


def volumes(aliases: tuple[str, ...], samples: Samples | None = None) -> tuple[Volume, ...]:
    """Return the query volume of each alias, in the order given; the samples default to the live counters."""
    counts: Counter[tuple[str, str]] = Counter()
    for (name, labels), value in (snapshot() if samples is None else samples).items():
        if name == "switchyard_queries_total":
            of = dict(labels)
            counts[of["alias"], of["operation"]] += int(value)
    totals = {alias: sum(counts[alias, operation] for operation in OPERATIONS) for alias in aliases}
    most = max(totals.values(), default=0) or 1
    return tuple(
        Volume(
            alias=alias,
            queries=totals[alias],
            shares=tuple(
                Share(operation, counts[alias, operation], round(100 * counts[alias, operation] / most, 2))
                for operation in OPERATIONS
                if counts[alias, operation]
            ),
        )
        for alias in aliases
    )
