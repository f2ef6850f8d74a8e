"""Lists of recent events that processes share."""

import multiprocessing
import os
import signal
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import Event

import pytest

from switchyard.telemetry.recent.entries import KEPT_OF_AN_ALIAS, KEPT_SECONDS, Entries, Entry, Kind


def merge(earlier: Entry, later: Entry) -> Entry:
    """Add the numbers."""
    return {**later, "count": earlier["count"] + later["count"]}


KIND = Kind("events", identity=("alias", "name"), last_at="at", merge=merge)
START = 1_800_000_000.0

spawning = multiprocessing.get_context("spawn")


def event(name: str, at: float = START, alias: str = "default") -> Entry:
    """Return an entry of one event."""
    return {"alias": alias, "name": name, "count": 1, "at": at}


@pytest.fixture(params=["memory", "file"])
def entries(request: pytest.FixtureRequest, tmp_path: Path) -> Entries:
    """An empty list, in the memory of the process and in a file."""
    return Entries(KIND, None if request.param == "memory" else tmp_path)


def test_newest__equal_events(entries: Entries) -> None:
    """Equal events are one entry with the time of the last; the newest entry comes first."""
    entries.add([event("a"), event("b", START + 1)])
    entries.add([event("a", START + 2)])

    assert entries.newest(START + 2) == [{**event("a", START + 2), "count": 2}, event("b", START + 1)]


def test_newest__old_events(entries: Entries) -> None:
    """Entries older than fifteen minutes are gone, for readers at once and from the list with the next event."""
    entries.add([event("a")])
    assert entries.newest(START + KEPT_SECONDS) == []

    entries.add([event("b", START + KEPT_SECONDS)])
    assert entries.newest(START) == [event("b", START + KEPT_SECONDS)]


def test_newest__many_events(entries: Entries) -> None:
    """The newest entries of each alias are kept, however many come."""
    entries.add([event("of another alias", alias="legacy")])
    for number in range(100):
        entries.add([event(str(number), START + number)])

    found = entries.newest(START + 100)
    assert [entry["name"] for entry in found if entry["alias"] == "default"] == [
        str(number) for number in range(99, 99 - KEPT_OF_AN_ALIAS, -1)
    ]
    assert found[-1]["name"] == "of another alias"


def test_newest__without_events(entries: Entries) -> None:
    """An empty list is no error."""
    entries.add([])

    assert entries.newest(START) == []


def add_at_once(directory: Path, barrier: Barrier) -> None:
    """Add a hundred events one by one, at the same time as other processes."""
    entries = Entries(KIND, directory)
    barrier.wait()
    for _ in range(100):
        entries.add([event("a")])


def test_file__of_several_processes(tmp_path: Path) -> None:
    """No event is lost."""
    barrier = spawning.Barrier(3)
    processes = [spawning.Process(target=add_at_once, args=(tmp_path, barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [entry["count"] for entry in Entries(KIND, tmp_path).newest(START)] == [300]


def add_and_wait(directory: Path, barrier: Barrier) -> None:
    """Add an event, and then wait to be killed."""
    Entries(KIND, directory).add([event("a")])
    barrier.wait()
    Event().wait()


def test_file__of_a_killed_process(tmp_path: Path) -> None:
    """The events of a killed process stay, and others add to them."""
    barrier = spawning.Barrier(2)
    process = spawning.Process(target=add_and_wait, args=(tmp_path, barrier))
    process.start()
    barrier.wait()
    process.kill()
    process.join()
    entries = Entries(KIND, tmp_path)
    entries.add([event("a")])

    assert process.exitcode == -signal.SIGKILL
    assert [entry["count"] for entry in entries.newest(START)] == [2]


def add_while_a_child_is_forked(directory: Path) -> None:
    """Fork a child while the list is locked, and add once more while the child lives."""
    reader, writer = os.pipe()

    def fork(_earlier: Entry, later: Entry) -> Entry:
        if os.fork() == 0:
            os.close(writer)
            os.read(reader, 1)  # until this process has ended
            os._exit(0)
        return later

    Entries(replace(KIND, merge=fork), directory).add([event("a"), event("a")])
    Entries(KIND, directory).add([event("b", START + 1)])


def test_file__child_forked_in_between(tmp_path: Path) -> None:
    """A child that is forked while the list is locked does not keep it locked."""
    process = spawning.Process(target=add_while_a_child_is_forked, args=(tmp_path,))
    process.start()
    process.join(60)
    process.kill()
    process.join()

    assert process.exitcode == 0
    assert Entries(KIND, tmp_path).newest(START) == [event("b", START + 1), event("a")]
