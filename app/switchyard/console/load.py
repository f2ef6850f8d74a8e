"""The load of each alias out of the recording: rates, latency and the decisions of the last minute. No I/O."""

from collections import defaultdict
from math import inf
from typing import Any

from switchyard.routing.topology.ownership import replicated_by
from switchyard.telemetry.layout import OTHER
from switchyard.telemetry.metrics import DURATION_BUCKETS_SECONDS, OPERATIONS
from switchyard.telemetry.rates import quantile
from switchyard.telemetry.recent.history import Recording

DECISION_SECONDS = 60
LATENCY_SECONDS = 120
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def queries_per_second(recording: Recording, alias: str) -> dict[str, list[float | None]]:
    """Return the rate of queries before each sample, by operation."""
    return {operation: recording.per_second(("queries", alias, operation)) for operation in OPERATIONS}


def errors_per_second(recording: Recording, alias: str) -> list[float | None]:
    """Return the rate of calls that failed before each sample."""
    return recording.per_second(("errors", alias))


def query_totals(recording: Recording, alias: str) -> dict[str, int]:
    """Return the number of queries since the counters began, by operation."""
    values, index = recording.newest.values, recording.columns
    return {operation: int(values[index["queries", alias, operation]]) for operation in OPERATIONS}


def latency_seconds(
    recording: Recording, alias: str, seconds: float = LATENCY_SECONDS
) -> dict[str, float | None] | None:
    """Return quantiles of the durations of the last seconds, by default of two minutes; None without a call."""
    span = recording.last(seconds)
    if span is None:
        return None
    cumulative, calls = [], 0.0
    for bound in (*DURATION_BUCKETS_SECONDS, inf):
        calls += span.added.get(("durations", alias, str(bound)), 0.0)
        cumulative.append((bound, calls))
    return {name: quantile(share, cumulative) for name, share in QUANTILES.items()} if calls else None


def decisions(recording: Recording) -> list[dict[str, Any]]:
    """Return the decisions of the last minute; a share is the part of the owner's reads, or of its writes."""
    span = recording.last(DECISION_SECONDS)
    if span is None:
        return []
    found: list[tuple[str, str, str, str, float]] = []
    totals: dict[tuple[str, str], float] = defaultdict(float)
    for (kind, alias, *rest), count in span.added.items():
        if kind == "decisions" and alias != OTHER:
            owner = replicated_by(alias) or alias
            operation, reason = rest
            found.append((owner, alias, operation, reason, count))
            totals[owner, operation] += count
    return [
        {
            "owner": owner,
            "alias": alias,
            "operation": operation,
            "reason": reason,
            "per_second": count / span.seconds,
            "share": count / totals[owner, operation],
        }
        for owner, alias, operation, reason, count in sorted(found)
    ]
