"""SharedFile: the lock, and what one process tells the others."""

import os
from collections.abc import Iterator
from math import inf
from pathlib import Path

import pytest
from django.db import connections
from hypothesis import given
from hypothesis import strategies as st
from tests.support.published import at

from switchyard.positions import ServerStatus
from switchyard.routing.monitor import shared_file
from switchyard.routing.monitor.probes.probe import ProbeState
from switchyard.routing.monitor.probes.volatile_functions import Catalog
from switchyard.routing.monitor.shared_file import Published, ServerGauges, SharedFile, _from_json, _to_json
from switchyard.routing.topology.replication import Sample, Shutdown

ALIASES = ("default", "replica")

times = st.floats(0, 1e9)
positions = st.none() | st.integers(0, 2**63).map(at)
statuses = st.builds(ServerStatus, st.text(), st.booleans(), st.booleans(), positions, positions)
states = st.builds(
    ProbeState,
    st.none() | times,
    times,
    st.none() | st.builds(Sample, times, statuses),
    st.text(max_size=20),
    st.none() | times,
    st.text(max_size=20),
    st.booleans(),
)
shutdowns = st.builds(Shutdown, times, times | st.just(inf), positions)
gauges = st.builds(
    ServerGauges,
    st.text(),
    st.text(),
    st.text(),
    st.text(),
    st.none() | times,
    st.none() | times,
    st.none() | st.integers(0),
    st.none(),
)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[SharedFile, SharedFile]]:
    """The file as two processes have it."""
    made = SharedFile(tmp_path, ALIASES), SharedFile(tmp_path, ALIASES)
    yield made
    for file in made:
        file.close()


@given(
    st.builds(
        Published,
        times,
        st.dictionaries(st.text(), states),
        times,
        st.dictionaries(st.text(), gauges, max_size=3),
        st.none() | shutdowns,
    )
)
def test_published__round_trip(published: Published) -> None:
    """Everything that is written is read again."""
    assert _from_json(_to_json(published)) == published


def test_lead__one_process(files: tuple[SharedFile, SharedFile]) -> None:
    """One of two leads, and keeps leading; the other leads once the first has closed."""
    first, second = files
    before = [first.lead(), second.lead(), first.lead(), second.lead()]
    first.close()

    assert before == [True, False, True, False]
    assert second.lead()


def test_lead__killed(files: tuple[SharedFile, SharedFile]) -> None:
    """A process that is killed leads no more."""
    first, second = files
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        first.lead()
        os.write(writer, b"!")
        os.read(os.pipe()[0], 1)  # for ever
    os.read(reader, 1)
    before = second.lead()
    os.kill(child, 9)
    os.waitpid(child, 0)

    assert not before
    assert second.lead()


def test_read__before_the_first_write(files: tuple[SharedFile, SharedFile]) -> None:
    """There is no content, and nothing was requested."""
    assert files[0].read() is None
    assert files[0].requested_at() == 0


def test_request__seen_by_the_other(files: tuple[SharedFile, SharedFile]) -> None:
    """The number of requests changes with a request of another process, and only then."""
    first, second = files
    first.lead()
    numbers = [first.requested_at()]
    for _ in range(2):
        second.request()
        numbers += [first.requested_at(), first.requested_at()]

    assert numbers[1] == numbers[2]
    assert len(set(numbers)) == 3


def test_catalog__round_trip(files: tuple[SharedFile, SharedFile]) -> None:
    """The functions of an owner are read as they were written."""
    catalog = Catalog(frozenset({"lower", "größe"}), frozenset({"lower"}), loaded_at=7.5)
    files[0].write_catalog(catalog)

    assert files[1].read_catalog() == catalog


def test_name__another_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose release writes other fields has another file."""
    here = SharedFile(tmp_path, ALIASES)
    monkeypatch.setattr(shared_file, "_FIELDS", [])
    other = SharedFile(tmp_path, ALIASES)

    assert [here.lead(), other.lead()] == [True, True]
    for file in (here, other):
        file.close()


def test_name__other_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose aliases lead to other servers has another file; a password makes no difference."""
    here = SharedFile(tmp_path, ALIASES)
    monkeypatch.setitem(connections.settings["default"], "PASSWORD", "another")
    same = SharedFile(tmp_path, ALIASES)
    monkeypatch.setitem(connections.settings["default"], "HOST", "another")
    other = SharedFile(tmp_path, ALIASES)

    assert [here.lead(), same.lead(), other.lead()] == [True, False, True]
    for file in (here, same, other):
        file.close()
