"""Problems of an alias: their faults, and the sentences about them."""

import re
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any

import pytest

from switchyard.console.problems import RULES, Facts, Problem, problems
from switchyard.routing.selection.rules import RULES as RULES_FOR_READS
from switchyard.telemetry.metrics import DURATION_BUCKETS_SECONDS, OPERATIONS
from switchyard.telemetry.recent.history import Column, Recording
from switchyard.telemetry.recent.ring import Sample

BOUNDS = [str(bound) for bound in (*DURATION_BUCKETS_SECONDS, inf)]
COLUMNS: list[Column] = [
    *(("durations", "default", bound) for bound in BOUNDS),
    *(("queries", "default", operation) for operation in OPERATIONS),
    *(("decisions", "default", "read", rule.name) for rule in RULES_FOR_READS),
    *(("decisions", "replica", "read", rule.name) for rule in RULES_FOR_READS),
    *(("failures", "default"), ("pool_timeouts", "default"), ("connection_errors", "default")),
]
POOL = {"used": 4, "idle": 0, "max": 4, "pending_requests": 0}
NOW = 1000.0


def recording(*counts: Mapping[Column, float]) -> Recording:
    """Return a recording in which these counts were added in each interval of five seconds, the newest last."""
    values = [0.0] * len(COLUMNS)
    samples = [Sample(NOW - 5 * len(counts), values)]
    for number, added in enumerate(counts, start=1):
        values = [value + added.get(column, 0.0) for column, value in zip(COLUMNS, values, strict=True)]
        samples.append(Sample(NOW - 5 * (len(counts) - number), values))
    return Recording({column: index for index, column in enumerate(COLUMNS)}, samples[:-1], samples[-1])


def calls(number: float, bound: str) -> dict[Column, float]:
    """Return the counts of so many calls whose durations were in the bucket below the bound."""
    return {("queries", "default", "read"): number, ("durations", "default", bound): number}


def read(alias: str, rule: str, number: float) -> dict[Column, float]:
    """Return the counts of reads that a rule sent to the alias."""
    return {("decisions", alias, "read", rule): number}


QUIET = recording(calls(100, "0.001"))


def found(**facts: Any) -> list[tuple[str, str]]:
    """Return the faults and the sentences about an alias of these facts."""
    given: dict[str, Any] = {"alias": "default", "state": "read-write", "recording": QUIET} | facts
    return [(problem.fault, problem.text) for problem in problems(Facts(**given))]


def violation(at: float, place: str = "a.py:1 in b") -> dict[str, Any]:
    """Return a refused write."""
    return {"at": at, "kind": "read_only_owner_write", "reason": "A write was refused.", "place": place}


@pytest.mark.parametrize(
    ("facts", "fault", "text"),
    [
        ({"pending_migrations": 1}, "pending migrations", "1 migration is not applied."),
        ({"pending_migrations": 2}, "pending migrations", "2 migrations are not applied."),
        (
            {"pool": {**POOL, "pending_requests": 2}},
            "exhausted pool",
            "2 threads wait for a connection: 4 of 4 connections of the pools are in use.",
        ),
        (
            {"recording": recording({("pool_timeouts", "default"): 3.0})},
            "exhausted pool",
            "3 times in the last 30 seconds a thread waited for a connection of the pool and got none.",
        ),
        (
            {"recording": recording({("connection_errors", "default"): 3.0})},
            "failing connections",
            "3 connections could not be opened in the last 30 seconds.",
        ),
        (
            {"recording": recording({("queries", "default", "read"): 50.0, ("failures", "default"): 10.0})},
            "failing calls",
            "20 % of the calls of the last 30 seconds failed.",
        ),
        (
            {"recording": recording(calls(10, "5.0"))},
            "slow calls",
            "5 % of the calls of the last seconds took longer than 4.8 s.",
        ),
        (
            {"violations": [violation(NOW - 1)]},
            "violation",
            "read_only_owner_write: A write was refused. Place: a.py:1 in b.",
        ),
        (
            {"violations": [violation(NOW - 1, place="")]},
            "violation",
            "read_only_owner_write: A write was refused.",
        ),
        (
            {"recording": recording(read("default", "down", 6) | read("replica", "replica", 4))},
            "reads fell back",
            "60 % of the reads of the last seconds ran here because no replica was fit.",
        ),
        (
            {"states_elsewhere": {"unavailable (down)": ["3f2a", "81c0"]}},
            "not the same in all pods",
            "The server is read-write in this pod; in pods 3f2a, 81c0 it is unavailable (down).",
        ),
    ],
)
def test_problems__sentences(facts: dict[str, Any], fault: str, text: str) -> None:
    """Each fault has two or three words and a sentence with its numbers."""
    assert found(**facts) == [(fault, text)]


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"state": "read-only"},
        {"pending_migrations": 0},
        {"pool": POOL},
        {"recording": recording(calls(10, "0.1"))},
        {"recording": recording(calls(10, "0.5"))},
        {"recording": recording(calls(1, "5.0"))},
        {"recording": recording(read("default", "down", 1) | read("replica", "replica", 9))},
        {"recording": recording(read("default", "pinned", 9))},
        {"recording": recording(read("default", "down", 9)), "has_unfit_replica": True},
        {"violations": [violation(NOW - 40)]},
        {"recording": recording({("pool_timeouts", "default"): 3.0}, *[{}] * 7)},
    ],
)
def test_problems__none(facts: dict[str, Any]) -> None:
    """An alias in order has none, nor has one whose fault is over or has its cause in the list already."""
    assert found(**facts) == []


def test_problems__rules() -> None:
    """The tests above show each line of the table."""
    (sentences,) = (mark for mark in test_problems__sentences.pytestmark if mark.name == "parametrize")

    assert {fault for _facts, fault, _text in sentences.args[1]} == set(RULES)


def test_problems__documented() -> None:
    """docs/own-project.md explains each line of the table."""
    text = (Path(__file__).parents[4] / "docs" / "own-project.md").read_text()
    explained = set(re.findall(r"^\| ([a-z ]+) \| [a-z0-9]", text, re.MULTILINE))

    assert set(RULES) - explained == set()


def test_problems__slower_than_usual() -> None:
    """An alias that is slower than it usually is has slow calls, though another alias may be so slow."""
    usual = [calls(100, "0.005")] * 20

    assert found(recording=recording(*usual, calls(10, "0.5"))) == [
        ("slow calls", "5 % of the calls of the last seconds took longer than 480 ms; usually 4.8 ms.")
    ]
    assert found(recording=recording(*[calls(100, "0.5")] * 21)) == []


def test_problems__slow_among_many_quick_calls() -> None:
    """The many calls before a fault do not hide the few slow ones in it: each client has one call at a time."""
    before = [calls(10_000, "0.005")] * 20

    assert [fault for fault, _text in found(recording=recording(*before, calls(6, "1.0")))] == ["slow calls"]


@pytest.mark.parametrize(("state", "level"), [("lagging", "warning"), ("down", "error")])
def test_problems__of_the_server(state: str, level: str) -> None:
    """The state of a server that is not used is the fault, and comes first."""
    facts = Facts(alias="replica", state=state, recording=QUIET, pool={**POOL, "pending_requests": 1})
    first, second = problems(facts)

    assert (first.fault, first.level) == (state, level)
    assert "reads go elsewhere" in first.text
    assert second == Problem(
        "exhausted pool",
        "warning",
        "1 thread waits for a connection: 4 of 4 connections of the pools are in use.",
    )
