"""The samples of fifteen minutes, in the memory of a process and in a file that processes share."""

import multiprocessing
import os
import signal
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from switchyard.telemetry.recent.ring import HISTORY_SECONDS, INTERVAL_SECONDS, SLOTS, FileRing, MemoryRing, Ring

KEY, OTHER_KEY = "a" * 64, "b" * 64
START = 1_800_000_000.0

spawning = multiprocessing.get_context("spawn")


@pytest.fixture(params=["memory", "file"])
def ring(request: pytest.FixtureRequest, tmp_path: Path) -> Ring:
    """A ring of each kind, with two values in a sample."""
    return MemoryRing() if request.param == "memory" else FileRing(tmp_path / "ring", KEY, 2)


def values(ring: Ring, until: float) -> list[list[float]]:
    """Return the values of all samples."""
    return [list(sample.values) for sample in ring.samples(until)]


def test_samples__in_order(ring: Ring) -> None:
    """Each sample is kept with its time, the oldest first."""
    for step in range(3):
        ring.add(START + step * INTERVAL_SECONDS, lambda step=step: [float(step), 0.5])

    assert [sample.at for sample in ring.samples(START + 11)] == [START, START + 5, START + 10]
    assert values(ring, START + 11) == [[0.0, 0.5], [1.0, 0.5], [2.0, 0.5]]


def test_samples__two_in_one_interval(ring: Ring) -> None:
    """The first one of an interval is kept, and the second one is not even taken."""
    ring.add(START, lambda: [1.0, 1.0])
    ring.add(START + INTERVAL_SECONDS - 0.1, lambda: pytest.fail("taken"))

    assert values(ring, START + 5) == [[1.0, 1.0]]


def test_samples__of_more_than_fifteen_minutes(ring: Ring) -> None:
    """The samples of the last fifteen minutes are there, and no older ones."""
    for step in range(SLOTS + 20):
        ring.add(START + step * INTERVAL_SECONDS, lambda step=step: [float(step), 0.0])
    end = START + (SLOTS + 19) * INTERVAL_SECONDS

    times = [sample.at for sample in ring.samples(end)]
    assert len(times) == SLOTS
    assert (times[0], times[-1]) == (end - HISTORY_SECONDS, end)


def test_samples__after_an_hour_without_samples(ring: Ring) -> None:
    """Samples of a process that slept are too old, although their slots are not used again."""
    ring.add(START, lambda: [1.0, 1.0])

    assert ring.samples(START + 3600) == []


def test_file__size(tmp_path: Path) -> None:
    """The file does not grow with time."""
    ring = FileRing(tmp_path / "ring", KEY, 2)
    sizes = []
    for round_number in range(3):
        for step in range(SLOTS):
            ring.add(START + (round_number * SLOTS + step) * INTERVAL_SECONDS, lambda: [0.0, 0.0])
        sizes.append((tmp_path / "ring").stat().st_size)

    assert sizes == [64 + SLOTS * 24] * 3


def test_file__another_meaning(tmp_path: Path) -> None:
    """The values of other columns are neither read nor kept."""
    FileRing(tmp_path / "ring", KEY, 2).add(START, lambda: [1.0, 2.0])
    other = FileRing(tmp_path / "ring", OTHER_KEY, 1)

    assert other.samples(START) == []
    other.add(START + 5, lambda: [3.0])
    assert values(other, START + 5) == [[3.0]]


def sample_at_once(path: Path, barrier: Barrier) -> None:
    """Sample sixty intervals, at the same time as other processes; each value is the process's own."""
    ring = FileRing(path, KEY, 2)
    barrier.wait()
    for step in range(60):
        ring.add(START + step * INTERVAL_SECONDS, lambda: [float(os.getpid())] * 2)


def test_file__of_several_processes(tmp_path: Path) -> None:
    """Each interval has one whole sample, of whichever process came first."""
    barrier = spawning.Barrier(3)
    processes = [spawning.Process(target=sample_at_once, args=(tmp_path / "ring", barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    found = values(FileRing(tmp_path / "ring", KEY, 2), START + 300)
    assert len(found) == 60
    assert {first for first, _ in found} <= {float(process.pid or 0) for process in processes}
    assert all(first == second for first, second in found)


def sample_then_die(path: Path) -> None:
    """Sample once, and be killed while the second sample is taken, with the file locked."""
    ring = FileRing(path, KEY, 2)
    ring.add(START, lambda: [1.0, 1.0])
    ring.add(START + 5, lambda: [float(os.kill(os.getpid(), signal.SIGKILL) or 0), 0.0])


def test_file__of_a_killed_process(tmp_path: Path) -> None:
    """What the killed process sampled is there, and another process goes on in the same interval."""
    process = spawning.Process(target=sample_then_die, args=(tmp_path / "ring",))
    process.start()
    process.join()
    ring = FileRing(tmp_path / "ring", KEY, 2)
    ring.add(START + 5.5, lambda: [2.0, 2.0])

    assert process.exitcode == -signal.SIGKILL
    assert values(ring, START + 6) == [[1.0, 1.0], [2.0, 2.0]]


def sample_while_a_child_is_forked(path: Path) -> None:
    """Fork a child while the file is locked, and sample once more while the child lives."""
    reader, writer = os.pipe()

    def fork() -> list[float]:
        if os.fork() == 0:
            os.close(writer)
            os.read(reader, 1)  # until this process has ended
            os._exit(0)
        return [1.0, 1.0]

    ring = FileRing(path, KEY, 2)
    ring.add(START, fork)
    ring.add(START + INTERVAL_SECONDS, lambda: [2.0, 2.0])


def test_file__child_forked_in_between(tmp_path: Path) -> None:
    """A child that is forked while the file is locked does not keep it locked."""
    process = spawning.Process(target=sample_while_a_child_is_forked, args=(tmp_path / "ring",))
    process.start()
    process.join(60)
    process.kill()
    process.join()

    assert process.exitcode == 0
    assert values(FileRing(tmp_path / "ring", KEY, 2), START + 6) == [[1.0, 1.0], [2.0, 2.0]]
