"""The load of an alias out of a recording."""

from math import inf

import pytest

from switchyard.console import load
from switchyard.telemetry.metrics import DURATION_BUCKETS_SECONDS, OPERATIONS
from switchyard.telemetry.recent.history import Column, Recording
from switchyard.telemetry.recent.ring import Sample

DURATIONS: list[Column] = [("durations", "default", str(bound)) for bound in (*DURATION_BUCKETS_SECONDS, inf)]
QUERIES: list[Column] = [("queries", "default", operation) for operation in OPERATIONS]


def recording(counts: dict[Column, float], seconds: float = 10.0) -> Recording:
    """Return a recording in which these counts were added in so many seconds, from a first sample until now."""
    names = [*DURATIONS, *QUERIES, *(column for column in counts if column not in {*DURATIONS, *QUERIES})]
    return Recording(
        {column: index for index, column in enumerate(names)},
        [Sample(100.0, [5.0] * len(names))],
        Sample(100.0 + seconds, [5.0 + counts.get(column, 0.0) for column in names]),
    )


def test_latency__in_buckets() -> None:
    """Between two bounds the calls count as spread evenly, as Prometheus counts them."""
    found = load.latency_seconds(
        recording({("durations", "default", "0.0005"): 50.0, ("durations", "default", "0.01"): 50.0}), "default"
    )

    assert found == {"p50": 0.0005, "p95": pytest.approx(0.0095), "p99": pytest.approx(0.0099)}


def test_latency__above_the_last_bound() -> None:
    """A duration above the last bound is the last bound."""
    found = load.latency_seconds(recording({("durations", "default", str(inf)): 3.0}), "default")

    assert found == {"p50": 10.0, "p95": 10.0, "p99": 10.0}


def test_latency__without_calls() -> None:
    """Without a call there is no latency."""
    assert load.latency_seconds(recording({}), "default") is None


def test_query_totals__since_the_counters_began() -> None:
    """The totals are those of the counters, and not of the history."""
    found = load.query_totals(recording({("queries", "default", "read"): 7.0}), "default")

    assert found == {"read": 12, "write": 5, "ddl": 5, "tx": 5, "other": 5}


def test_decisions__shares() -> None:
    """A share is the part of the reads, or of the writes, of one owner; the owner of a replica's read is its owner."""
    found = load.decisions(
        recording(
            {
                ("decisions", "replica", "read", "replica"): 30.0,
                ("decisions", "default", "read", "pinned"): 10.0,
                ("decisions", "default", "write", "write"): 5.0,
                ("decisions", "legacy", "read", "owner"): 1.0,
                ("decisions", "legacy", "write", "write"): 0.0,
                ("decisions", "other", "read", "owner"): 1.0,
            }
        )
    )

    assert [tuple(each.values()) for each in found] == [
        ("default", "default", "read", "pinned", 1.0, 0.25),
        ("default", "default", "write", "write", 0.5, 1.0),
        ("default", "replica", "read", "replica", 3.0, 0.75),
        ("legacy", "legacy", "read", "owner", 0.1, 1.0),
    ]


def test_decisions__before_the_first_sample() -> None:
    """Before the first sample nothing is known."""
    assert load.decisions(Recording({}, [], Sample(100.0, []))) == []
