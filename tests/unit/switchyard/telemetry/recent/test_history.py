"""The counters of all processes over the last fifteen minutes."""

import multiprocessing
from math import inf
from pathlib import Path

import django
import pytest

from switchyard.telemetry import metrics
from switchyard.telemetry.counters import Counters
from switchyard.telemetry.recent.history import History, Recording, columns
from switchyard.telemetry.recent.ring import Sample

START = 1_800_000_000.0

spawning = multiprocessing.get_context("spawn")


def recording(*samples: tuple[float, float], newest: tuple[float, float]) -> Recording:
    """Return a recording of one column: pairs of a time and the number of reads on `default` until then."""
    return Recording(
        {("queries", "default", "read"): 0},
        [Sample(at, [reads]) for at, reads in samples],
        Sample(newest[0], [newest[1]]),
    )


def test_columns__kinds() -> None:
    """Queries are summed over apps, durations over operations, errors over their classes."""
    layout = metrics.layout()
    found = columns(layout)

    assert len(found["queries", "default", "read"]) == len(layout.family(metrics.QUERIES).axes[-1].values)
    assert len(found["durations", "default", str(inf)]) == len(metrics.OPERATIONS)
    assert len(found["errors", "default"]) > len(found["failures", "default"]) > 1
    assert len(found["decisions", "replica", "read", "replica"]) == 1


def test_columns__cells() -> None:
    """A column has the cells of exactly its counters."""
    layout = metrics.layout()
    cells = columns(layout)["queries", "default", "read"]

    assert layout.index_of(metrics.QUERIES, "default", "read", "accounts") in cells
    assert layout.index_of(metrics.QUERIES, "default", "write", "accounts") not in cells
    assert layout.index_of(metrics.QUERIES, "replica", "read", "accounts") not in cells


@pytest.mark.parametrize("shared", [False, True])
def test_recording__of_counts(shared: bool, tmp_path: Path) -> None:
    """Each counted query is in the rate of its interval, and in the newest counts."""
    counters = Counters(metrics.layout(), str(tmp_path) if shared else None)
    history = History(counters)
    for step in range(3):
        history.sample(START + 5 * step)
        counters.count(metrics.QUERIES, "default", "read", "accounts", amount=10)

    found = history.recording(START + 12)
    assert found.times == [START, START + 5, START + 10]
    assert found.per_second(("queries", "default", "read")) == [None, 2.0, 2.0]
    span = found.last(10)
    assert span is not None
    assert (span.seconds, span.added) == (12.0, {("queries", "default", "read"): 30.0})


def count_and_sample(directory: Path, number: int) -> None:
    """Count a read, and sample as the process of this number."""
    django.setup()
    counters = Counters(metrics.layout(), str(directory))
    counters.count(metrics.QUERIES, "default", "read", "accounts", amount=1)
    History(counters).sample(START + 5 * number)


def test_recording__of_processes_that_ended(tmp_path: Path) -> None:
    """A new process answers with the samples and the counts of those before it."""
    for number in range(2):
        process = spawning.Process(target=count_and_sample, args=(tmp_path, number))
        process.start()
        process.join()
        assert process.exitcode == 0

    found = History(Counters(metrics.layout(), str(tmp_path))).recording(START + 5)
    assert found.per_second(("queries", "default", "read")) == [None, 0.2]


def test_last__span() -> None:
    """The span begins with the newest sample that is old enough, and ends now."""
    found = recording((0.0, 0.0), (5.0, 10.0), (10.0, 30.0), newest=(12.0, 31.0)).last(5)

    assert found is not None
    assert (found.seconds, found.added) == (7.0, {("queries", "default", "read"): 21.0})


def test_last__short_history() -> None:
    """Soon after the start the span begins with the oldest sample."""
    found = recording((5.0, 10.0), newest=(12.0, 17.0)).last(60)

    assert found is not None
    assert (found.seconds, found.added) == (7.0, {("queries", "default", "read"): 7.0})


def test_last__without_samples() -> None:
    """Before the first sample nothing is known."""
    empty = recording(newest=(12.0, 17.0))

    assert empty.last(60) is None
    assert empty.per_second(("queries", "default", "read")) == []
