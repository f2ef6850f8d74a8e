"""Problems of an alias whose server is well, as sentences."""

from collections.abc import Iterator
from math import inf

import pytest

from switchyard.console.problems import call_problems, migration_problems, pool_problems, violation_problems
from switchyard.telemetry.metrics import DURATION_BUCKETS_SECONDS, OPERATIONS
from switchyard.telemetry.recent.history import Column, Recording
from switchyard.telemetry.recent.ring import Sample

COLUMNS: list[Column] = [
    *(("durations", "default", str(bound)) for bound in (*DURATION_BUCKETS_SECONDS, inf)),
    *(("queries", "default", operation) for operation in OPERATIONS),
    *(("failures", "default"), ("pool_timeouts", "default"), ("connection_errors", "default")),
]
POOL = {"used": 4, "idle": 0, "max": 4, "pending_requests": 0}


def recording(counts: dict[Column, float]) -> Recording:
    """Return a recording in which these counts were added in the last minute."""
    return Recording(
        {column: index for index, column in enumerate(COLUMNS)},
        [Sample(100.0, [0.0] * len(COLUMNS))],
        Sample(160.0, [counts.get(column, 0.0) for column in COLUMNS]),
    )


QUIET = recording({("queries", "default", "read"): 100.0, ("durations", "default", "0.001"): 100.0})


@pytest.mark.parametrize(
    ("problems", "sentences"),
    [
        (migration_problems(1), ["1 migration is not applied."]),
        (migration_problems(2), ["2 migrations are not applied."]),
        (migration_problems(0), []),
        (migration_problems(None), []),
        (
            pool_problems(QUIET, "default", {**POOL, "pending_requests": 2}),
            ["2 threads wait for a connection: 4 of 4 connections of the pools are in use."],
        ),
        (pool_problems(QUIET, "default", POOL), []),
        (pool_problems(QUIET, "default", None), []),
        (
            pool_problems(recording({("pool_timeouts", "default"): 3.0}), "default", POOL),
            ["3 times in the last minute a thread waited for a connection of the pool and got none."],
        ),
        (
            pool_problems(recording({("connection_errors", "default"): 3.0}), "default", None),
            ["3 connections could not be opened in the last minute."],
        ),
        (call_problems(QUIET, "default"), []),
        (
            call_problems(recording({("queries", "default", "read"): 50.0, ("failures", "default"): 10.0}), "default"),
            ["20% of the calls of the last minute failed."],
        ),
        (
            call_problems(recording({("durations", "default", "5.0"): 10.0}), "default"),
            ["5% of the calls of the last minute took longer than 4.8 s."],
        ),
        (call_problems(recording({("durations", "default", "0.5"): 10.0}), "default"), []),
        (violation_problems(100.0, []), []),
        (
            violation_problems(100.0, [{"at": 99.0, "reason": "A write was refused.", "place": "a.py:1 in b"}]),
            ["A write was refused. Place: a.py:1 in b."],
        ),
        (
            violation_problems(100.0, [{"at": 99.0, "reason": "A write was refused.", "place": ""}]),
            ["A write was refused."],
        ),
        (violation_problems(100.0, [{"at": 40.0, "reason": "A write was refused.", "place": ""}]), []),
    ],
)
def test_problems__sentences(problems: Iterator[str], sentences: list[str]) -> None:
    """Each problem is a sentence with its numbers; an alias without a problem has none."""
    assert list(problems) == sentences
