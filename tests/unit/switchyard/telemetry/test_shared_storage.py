"""Counters that several processes share and that outlive the processes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from switchyard.telemetry.counters import Counters
from switchyard.telemetry.layout import Axis, Family, Layout
from switchyard.telemetry.shared_storage import COUNTERS_FILE, LOCKS_FILE, LayoutInUseError, SharedStorage, read

LAYOUT = Layout((Family("calls_total", "", (Axis.of("alias", ("a", "b")),)),))
OTHER_LAYOUT = Layout((Family("calls_total", "", (Axis.of("alias", ("a", "b", "c")),)),))

# Spawned and not forked: rows are locked by process.
spawning = multiprocessing.get_context("spawn")


def count(directory: Path, times: int) -> None:
    """Count calls on alias b."""
    counters = Counters(LAYOUT, str(directory))
    for _ in range(times):
        counters.cells()[1] += 1.0


def count_then_wait(directory: Path, times: int, counted: Barrier) -> None:
    """Count, wait at the barrier, and then wait to be killed."""
    count(directory, times)
    counted.wait()
    threading.Event().wait()


def in_process(work: Callable[..., None], *arguments: object) -> int:
    """Run the work in a new process to its end, and return the exit status."""
    process = spawning.Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def totals(directory: Path) -> list[float]:
    """Return the sums that a reader sees."""
    counts = read(directory)
    assert counts is not None
    return counts.totals


def test_read__without_a_file(tmp_path: Path) -> None:
    """Before any process has counted, there are no counts; this is no error."""
    assert read(tmp_path) is None
    assert read(tmp_path / "missing") is None


def test_totals__of_processes_one_after_the_other(tmp_path: Path) -> None:
    """The counts add up, in one file that does not grow with the number of processes."""
    assert in_process(count, tmp_path, 3) == 0
    size = (tmp_path / COUNTERS_FILE).stat().st_size
    for _ in range(3):
        assert in_process(count, tmp_path, 5) == 0

    assert totals(tmp_path) == [0.0, 18.0]
    assert (tmp_path / COUNTERS_FILE).stat().st_size == size
    assert {path.name for path in tmp_path.iterdir()} == {COUNTERS_FILE, LOCKS_FILE}


def test_totals__of_processes_at_the_same_time(tmp_path: Path) -> None:
    """Each process has a row of its own, so no addition is lost."""
    barrier = spawning.Barrier(4)
    processes = [spawning.Process(target=count_then_wait, args=(tmp_path, 20_000, barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    barrier.wait()
    for process in processes:
        process.kill()
        process.join()

    assert totals(tmp_path) == [0.0, 60_000.0]


def test_totals__after_a_process_was_killed(tmp_path: Path) -> None:
    """SIGKILL loses no count, and the next process adds to the row of the killed process."""
    barrier = spawning.Barrier(2)
    process = spawning.Process(target=count_then_wait, args=(tmp_path, 7, barrier))
    process.start()
    barrier.wait()
    size = (tmp_path / COUNTERS_FILE).stat().st_size
    process.kill()
    process.join()
    assert in_process(count, tmp_path, 4) == 0

    assert process.exitcode == -signal.SIGKILL
    assert totals(tmp_path) == [0.0, 11.0]
    assert (tmp_path / COUNTERS_FILE).stat().st_size == size


def test_totals__after_a_fork(tmp_path: Path) -> None:
    """A forked child counts in rows of its own."""
    assert in_process(count_in_forked_children, tmp_path) == 0

    assert totals(tmp_path) == [0.0, 40_000.0]


def count_in_forked_children(directory: Path) -> None:
    """Count in a parent and in three forked children at the same time."""
    counters = Counters(LAYOUT, str(directory))
    counters.cells()
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            break
        children.append(child)
    for _ in range(10_000):
        counters.cells()[1] += 1.0
    if len(children) < 3:
        os._exit(0)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]


def test_file__of_an_unused_layout(tmp_path: Path) -> None:
    """A file with another layout that no process uses is replaced."""
    assert in_process(count, tmp_path, 3) == 0

    SharedStorage(OTHER_LAYOUT, tmp_path)

    counts = read(tmp_path)
    assert counts is not None
    assert counts.layout == OTHER_LAYOUT
    assert counts.totals == [0.0, 0.0, 0.0]


def test_file__of_a_layout_in_use(tmp_path: Path) -> None:
    """A file with another layout is kept while a running process counts in it."""
    barrier = spawning.Barrier(2)
    process = spawning.Process(target=count_then_wait, args=(tmp_path, 7, barrier))
    process.start()
    barrier.wait()
    try:
        with pytest.raises(LayoutInUseError):
            SharedStorage(OTHER_LAYOUT, tmp_path)
    finally:
        process.kill()
        process.join()

    assert totals(tmp_path) == [0.0, 7.0]


@pytest.mark.parametrize("content", [b"", b"garbage", b"[]\n", LAYOUT.to_json().encode()[:20]])
def test_file__damaged(tmp_path: Path, content: bytes) -> None:
    """A file with damaged content is replaced."""
    (tmp_path / COUNTERS_FILE).write_bytes(content)

    assert in_process(count, tmp_path, 2) == 0

    assert totals(tmp_path) == [0.0, 2.0]
