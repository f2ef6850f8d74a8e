"""A row for each thread, and the sums over all of them."""

import logging
import os
import threading
from pathlib import Path

import pytest

from switchyard.telemetry.counters import Counters
from switchyard.telemetry.layout import Axis, Family, Layout
from switchyard.telemetry.shared import COUNTERS, SharedTable

LAYOUT = Layout(
    (
        Family("calls_total", "", (Axis.of("alias", ("a", "b")),)),
        Family("seconds", "", (Axis.of("alias", ("a",)),), (0.1, 1.0)),
    )
)
CALLS = ("calls_total", (("alias", "b"),))


@pytest.fixture(params=["shared", "own"])
def counters(request: pytest.FixtureRequest, tmp_path: Path) -> Counters:
    """Counters of both kinds."""
    return Counters(LAYOUT, str(tmp_path) if request.param == "shared" else None)


def run(threads: list[threading.Thread]) -> None:
    """Run the threads to their end."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_samples__of_threads_at_the_same_time(counters: Counters) -> None:
    """No addition is lost, though no thread waits for another."""
    barrier = threading.Barrier(8)

    def count() -> None:
        barrier.wait()
        for _ in range(5_000):
            counters.cells()[1] += 1.0

    run([threading.Thread(target=count) for _ in range(8)])

    assert counters.samples()[CALLS] == 40_000


def test_samples__after_the_threads_ended(counters: Counters) -> None:
    """A thousand threads, eight at a time, leave their counts, and no more rows than eight."""
    rows = set()

    def count(barrier: threading.Barrier) -> None:
        cells = counters.cells()
        rows.add(id(cells))
        barrier.wait()
        for _ in range(100):
            counters.cells()[1] += 1.0

    for _ in range(125):
        barrier = threading.Barrier(8)
        run([threading.Thread(target=count, args=(barrier,)) for _ in range(8)])

    assert counters.samples()[CALLS] == 100_000
    assert len(rows) == 8


def test_file__after_many_threads_and_counts(tmp_path: Path) -> None:
    """The file is as large after a thousand threads and 100,000 counts as after the first of each."""
    counters = Counters(LAYOUT, str(tmp_path))

    def count() -> None:
        for _ in range(100):
            counters.cells()[1] += 1.0

    run([threading.Thread(target=count)])
    size = (tmp_path / COUNTERS).stat().st_size
    for _ in range(1_000):
        run([threading.Thread(target=count)])

    assert counters.samples()[CALLS] == 100_100
    assert (tmp_path / COUNTERS).stat().st_size == size


def test_samples__of_a_histogram(counters: Counters) -> None:
    """Buckets add up from below, as Prometheus reads them."""
    start = counters.layout.column("seconds", "a")
    for cell, amount in ((0, 1.0), (1, 2.0), (2, 4.0), (3, 9.5)):
        counters.cells()[start + cell] += amount

    samples = counters.samples()

    assert {
        name: value for (name, labels), value in samples.items() if "le" not in dict(labels) and name != "calls_total"
    } == {
        "seconds_count": 7.0,
        "seconds_sum": 9.5,
    }
    assert {dict(labels)["le"]: value for (_name, labels), value in samples.items() if "le" in dict(labels)} == {
        "0.1": 1.0,
        "1.0": 3.0,
        "+Inf": 7.0,
    }


def test_samples__before_the_first_count(counters: Counters) -> None:
    """Every child is there from the start, at zero: a rate sees its first increase."""
    assert counters.samples()[CALLS] == 0.0


def test_cells__on_a_full_file_system(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The thread counts in its process alone, and the log says what to do; the query goes on."""
    counters = Counters(LAYOUT, str(tmp_path))
    table = counters.open()
    assert isinstance(table, SharedTable)
    table._file = os.open("/dev/full", os.O_RDWR)

    with caplog.at_level(logging.ERROR):
        counters.cells()[1] += 1.0

    assert "cannot grow" in caplog.text
