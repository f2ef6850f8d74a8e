"""What the page's templates need beside the data: totals, drawings and rows. Reads the data, and no database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from switchyard.telemetry.metrics import OPERATIONS
from switchyard.templatetags.console_formats import rate

type Data = Mapping[str, Any]


@dataclass(frozen=True)
class Totals:
    """The figures at the top of the page. `replica_share` is None without a read of an owner that has replicas."""

    queries: float
    errors: float
    replica_share: float | None
    good: int


@dataclass(frozen=True)
class Part:
    """The queries of one operation on an alias, per second."""

    operation: str
    per_second: float


@dataclass(frozen=True)
class Row:
    """An alias with what its row shows beside the data: the rates of now, by operation, and a text for the chart."""

    alias: Data
    now: float
    errors: float
    parts: tuple[Part, ...]
    chart_label: str

    @property
    def queries(self) -> list[int]:
        """The queries of each operation since the counters began."""
        return [self.alias["queries"].get(operation, 0) for operation in OPERATIONS]

    @property
    def total(self) -> int:
        """The queries of all operations since the counters began."""
        return sum(self.queries)

    @property
    def open_connections(self) -> int:
        """The connections of the pool that are open, used or idle."""
        pool = self.alias["connections"]
        return int(pool["used"] + pool["idle"]) if pool else 0


def latest(values: Sequence[float | None]) -> float | None:
    """Return the newest known value of a series.

    >>> latest([1.0, 2.0, None])
    2.0
    """
    return next((value for value in reversed(values) if value is not None), None)


def rows(data: Data) -> tuple[Row, ...]:
    """Return the rows of all aliases."""
    return tuple(_row(alias) for alias in data["aliases"])


def totals(data: Data) -> Totals:
    """Return the figures of all aliases together."""
    owners = {alias["replica_of"] for alias in data["aliases"] if alias["replica_of"]}
    reads = [each for each in data["decisions"] if each["operation"] == "read" and each["owner"] in owners]
    per_second = sum(each["per_second"] for each in reads)
    on_replicas = sum(each["per_second"] for each in reads if each["alias"] != each["owner"])
    return Totals(
        queries=sum(row.now for row in rows(data)),
        errors=sum(row.errors for row in rows(data)),
        replica_share=on_replicas / per_second if per_second else None,
        good=sum(alias["level"] in {"good", "neutral"} for alias in data["aliases"]),
    )


def _row(alias: Data) -> Row:
    series = alias["queries_per_second"]
    parts = [Part(operation, latest(series.get(operation, [])) or 0.0) for operation in OPERATIONS]
    now = sum(part.per_second for part in parts)
    return Row(
        alias=alias,
        now=now,
        errors=latest(alias["errors_per_second"]) or 0.0,
        parts=tuple(part for part in parts if part.per_second),
        chart_label=f"Queries a second on {alias['alias']}: now {rate(now)}, at most {rate(_peak(series))}.",
    )


def _peak(series: Mapping[str, list[float | None]]) -> float:
    """Return the largest sum over the operations at one time."""
    return max((sum(value or 0.0 for value in values) for values in zip(*series.values(), strict=True)), default=0.0)
