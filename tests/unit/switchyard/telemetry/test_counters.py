"""A row for each thread, the sums over all rows, and the call that users count with."""

import doctest
import logging
import os
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import pytest

from switchyard.telemetry import count, snapshot
from switchyard.telemetry.counters import Counters
from switchyard.telemetry.layout import Axis, Family, Layout
from switchyard.telemetry.shared_storage import COUNTERS_FILE, SharedStorage

APP = Path(__file__).parents[4] / "app"
LAYOUT = Layout(
    (
        Family("calls_total", "", (Axis.of("alias", ("a", "b")),)),
        Family("seconds", "", (Axis.of("alias", ("a",)),), (0.1, 1.0)),
    )
)
CALLS = ("calls_total", (("alias", "b"),))


@pytest.fixture(params=["shared", "own"])
def counters(request: pytest.FixtureRequest, tmp_path: Path) -> Counters:
    """Counters in a shared file, and in the memory of this process."""
    return Counters(LAYOUT, str(tmp_path) if request.param == "shared" else None)


def run(threads: list[threading.Thread]) -> None:
    """Run the threads to their end."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_samples__of_threads_at_the_same_time(counters: Counters) -> None:
    """No addition is lost, although no thread waits for another thread."""
    barrier = threading.Barrier(8)

    def count() -> None:
        barrier.wait()
        for _ in range(5_000):
            counters.cells()[1] += 1.0

    run([threading.Thread(target=count) for _ in range(8)])

    assert counters.samples()[CALLS] == 40_000


def test_samples__after_the_threads_ended(counters: Counters) -> None:
    """A thousand threads, eight at a time, leave their counts in only eight rows."""
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
    """A thousand threads and 100,000 counts do not make the file larger than the first thread did."""
    counters = Counters(LAYOUT, str(tmp_path))

    def count() -> None:
        for _ in range(100):
            counters.cells()[1] += 1.0

    run([threading.Thread(target=count)])
    size = (tmp_path / COUNTERS_FILE).stat().st_size
    for _ in range(1_000):
        run([threading.Thread(target=count)])

    assert counters.samples()[CALLS] == 100_100
    assert (tmp_path / COUNTERS_FILE).stat().st_size == size


def test_samples__of_a_histogram(counters: Counters) -> None:
    """Each bucket includes the buckets below, as Prometheus expects."""
    start = counters.layout.index_of("seconds", "a")
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
    """Every child is there from the start, at zero, so a rate includes the first increase."""
    assert counters.samples()[CALLS] == 0.0


def test_cells__on_a_full_file_system(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The thread counts in its process alone, no query fails, and the log says what to do."""
    counters = Counters(LAYOUT, str(tmp_path))
    storage = counters.open()
    assert isinstance(storage, SharedStorage)
    storage._file = os.open("/dev/full", os.O_RDWR)

    with caplog.at_level(logging.ERROR):
        counters.cells()[1] += 1.0

    assert "cannot grow" in caplog.text


def added(metric: str, *label_values: str, amount: float = 1.0) -> dict[tuple[str, ...], float]:
    """Count once, and return the children of the metric that increased: label values -> increase."""
    before = snapshot()
    count(metric, *label_values, amount=amount)
    increases = {sample: value - before[sample] for sample, value in snapshot().items() if value > before[sample]}
    assert {name for name, _labels in increases} <= {metric}
    return {tuple(value for _label, value in labels): increase for (_name, labels), increase in increases.items()}


@pytest.mark.parametrize(
    ("label_values", "child"),
    [
        (("replica_write", "replica"), ("replica_write", "replica")),
        (("replica_write", "tenant_17"), ("replica_write", "other")),
        (("never heard of", "replica"), ("other", "replica")),
    ],
)
def test_count__of_a_child(label_values: tuple[str, str], child: tuple[str, str]) -> None:
    """One child increases by one; an unknown label value counts as "other"."""
    assert added("switchyard_violations_total", *label_values) == {child: 1.0}


def test_count__of_an_amount() -> None:
    """The child increases by the amount, and an amount of zero changes nothing."""
    assert added("switchyard_positions_rejected_total", "forged", amount=2.5) == {("forged",): 2.5}
    assert added("switchyard_positions_rejected_total", "forged", amount=0.0) == {}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (("switchyard_unknown_total",), "Unknown metric 'switchyard_unknown_total'.*metrics.py"),
        (("switchyard_violations_total", "replica_write"), r"takes 2 label values \(kind, alias\), not 1"),
        (("db_client_operation_duration_seconds", "default", "sqlite", "read"), "is a histogram"),
    ],
)
def test_count__with_wrong_arguments(call: tuple[str, ...], error: str) -> None:
    """An unknown metric, a missing label value and a histogram raise an error, and nothing is counted."""
    before = snapshot()
    with pytest.raises(ValueError, match=error):
        count(*call)

    assert snapshot() == before


def test_count__of_a_negative_amount() -> None:
    """A counter never decreases."""
    with pytest.raises(ValueError, match=r"cannot add -1\.0 to switchyard_positions_rejected_total"):
        count("switchyard_positions_rejected_total", "forged", amount=-1.0)


def test_count__before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the remedy."""
    monkeypatch.setattr("switchyard.telemetry.counters._current", None)

    with pytest.raises(RuntimeError, match="add 'switchyard' to INSTALLED_APPS"):
        count("switchyard_positions_rejected_total", "forged")


@pytest.mark.parametrize("module", ["counters", "layout"])
def test_docstrings__examples(module: str) -> None:
    """The examples in docstrings run."""
    failed, attempted = doctest.testmod(import_module(f"switchyard.telemetry.{module}"))

    assert failed == 0
    assert attempted > 0


def test_import__without_django() -> None:
    """The exporter imports the package in a process without Django."""
    code = "import sys, switchyard.telemetry; sys.exit('django' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(APP)}, check=False).returncode == 0
