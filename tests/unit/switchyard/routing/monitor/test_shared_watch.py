"""SharedWatch: who asks the servers, and what the other processes know. Two watches stand for two processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.probed_servers import PROBE_ERROR, ProbedServers
from tests.support.published import at, lagging

from switchyard.positions import ServerStatus
from switchyard.routing.monitor import sockets
from switchyard.routing.monitor.probes import volatile_functions
from switchyard.routing.monitor.probes.volatile_functions import Catalog, cache_catalog, known_catalog
from switchyard.routing.monitor.shared_file import SharedFile
from switchyard.routing.monitor.shared_watch import LEADER_TIMEOUT_SECONDS, SharedWatch
from switchyard.routing.monitor.watch import OwnerWatch
from switchyard.routing.topology.replication import ReplicationSet, Sample

ALIASES = ("default", "replica")


class Process(ProbedServers):
    """The watch of a process. No thread runs; `asks` says whether the threads of its probes would."""

    def __init__(self, directory: Path) -> None:
        super().__init__(ReplicationSet("default"))
        self.file = SharedFile(directory, ALIASES)
        self.shared = SharedWatch(self.watch, self.file, clock=lambda: self.now)
        self.asks = False

    def update(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.shared.update(0.0)


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Process, Process]]:
    """The process that leads, and another one."""
    monkeypatch.setattr(sockets, "shutdown", lambda *_target: 0)
    monkeypatch.setattr(volatile_functions, "_catalogs", {})
    with lagging("replica"):
        made = Process(tmp_path), Process(tmp_path)

        def start(watch: OwnerWatch) -> None:
            (process,) = (each for each in made if each.watch is watch)
            process.asks = True

        def pause(watch: OwnerWatch) -> None:
            (process,) = (each for each in made if each.watch is watch)
            process.asks = False

        monkeypatch.setattr(OwnerWatch, "start", start)
        monkeypatch.setattr(OwnerWatch, "pause", pause)
        monkeypatch.setattr(OwnerWatch, "discover", lambda _watch: None)
        for process in made:
            process.shared.start()
        yield made
        for process in made:
            process.shared.stop()


def reason(process: Process) -> str:
    return process.group.snapshot.replicas[0].unfit_reason


def test_start__without_a_file(processes: tuple[Process, Process]) -> None:
    """Without METRICS_DIR the process asks for itself."""
    process = processes[1]
    process.shared = SharedWatch(process.watch, None)
    process.shared.start()

    assert process.asks


def test_update__one_process_asks(processes: tuple[Process, Process]) -> None:
    """The other process has the verdict of the first at its next evaluation."""
    leader, other = processes
    leader.owner_answers(5)
    leader.replica_answers(at(5), is_standby=False)
    leader.update(0.1)
    other.update(0.1)

    assert (leader.asks, other.asks) == (True, False)
    assert reason(other) == reason(leader) == "promoted"
    assert other.group.snapshot.owner_sample == leader.group.snapshot.owner_sample


def test_update__failed_and_pending_probes(processes: tuple[Process, Process]) -> None:
    """A probe that failed and a probe without an answer make their servers down in the other process as well."""
    leader, other = processes
    leader.owner_answers(5)
    leader.replica_answers(at(5))
    leader.replica_probe().error = PROBE_ERROR
    leader.watch.probe._began_at = leader.now
    for _ in range(10):
        leader.update(0.1)
        other.update(0.1)

    assert reason(other) == "down"
    assert other.group.snapshot.unavailable_reason == "down"


def test_update__a_process_that_begins_after_a_promotion(processes: tuple[Process, Process]) -> None:
    """It knows when the process that asks has seen the promotion, and takes no later write for an earlier one."""
    leader, other = processes
    leader.owner_answers(5)
    leader.update(0.1)
    leader.watch.probe.error, leader.watch.probe.shut_down = PROBE_ERROR, True
    status = ServerStatus("a", is_standby=False, writable=True, position=at(9, timeline=2), replayed=at(7))
    leader.replica_probe().last_sample = Sample(leader.now, status)
    leader.update(0.1)
    seen = leader.group.snapshot.shutdown
    for _ in range(20):
        leader.update(0.1)
    other.update(2.3)

    assert seen is not None
    assert seen.position == at(7)
    assert other.group.snapshot.shutdown == leader.group.snapshot.shutdown == seen


def test_update__the_leading_process_ended(processes: tuple[Process, Process]) -> None:
    """Another process asks at its next evaluation, and knows meanwhile what the first one knew."""
    leader, other = processes
    leader.owner_answers(5)
    leader.replica_answers(at(3), is_standby=False)
    leader.update(0.1)
    other.update(0.1)
    leader.shared.stop()
    other.update(0.1)

    assert other.asks
    assert reason(other) == "promoted"
    assert other.file.read() is not None


def test_update__the_leading_process_stands_still(processes: tuple[Process, Process]) -> None:
    """No server is taken for silent. After some seconds the other process asks for itself."""
    leader, other = processes
    leader.owner_answers(5)
    leader.replica_answers(at(5))
    leader.watch.probe._began_at = leader.now
    leader.update(0.1)
    other.update(0.1)
    found = []
    for _ in range(int(LEADER_TIMEOUT_SECONDS / 0.1) + 1):
        other.update(0.1)
        found.append((other.group.snapshot.unavailable_reason, reason(other), other.asks))
    other.update(0.1)

    assert set(found[:-2]) == {("", "", False)}
    assert other.asks
    assert not other.file.leads


def test_update__the_leading_process_goes_on(processes: tuple[Process, Process]) -> None:
    """The other process, which asked for itself meanwhile, asks no more and has the verdicts of the first again."""
    leader, other = processes
    leader.owner_answers(5)
    leader.replica_answers(at(5))
    leader.update(0.1)
    other.update(0.1)
    other.update(LEADER_TIMEOUT_SECONDS + 0.1)
    other.owner_answers(5)
    other.replica_answers(at(5))
    other.update(0.1)
    alone = (other.asks, reason(other))
    leader.now = other.now
    leader.replica_answers(at(5), is_standby=False)
    leader.update(0.1)
    other.update(0.1)

    assert alone == (True, "")
    assert (other.asks, reason(other)) == (False, "promoted")


def test_update__servers_behind_one_alias(processes: tuple[Process, Process]) -> None:
    """The other process knows each server that the first one has found, and forgets it with the first one."""
    leader, other = processes
    found = leader.discover_server()
    found.found = True
    found.last_sample = Sample(leader.now, ServerStatus("second", is_standby=True, writable=False, position=at(5)))
    leader.owner_answers(5)
    leader.replica_answers(at(5))
    leader.update(0.1)
    other.update(0.1)
    both = set(other.group.snapshot.by_server)
    leader.watch.replicas[0].discovery.discovered.clear()
    leader.update(0.1)
    other.update(0.1)

    assert both == {"replica 0", "second"}
    assert set(other.group.snapshot.by_server) == {"replica 0"}


def test_update__the_file_cannot_be_written(
    processes: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each process asks for itself, and one line of the log says so."""
    leader, other = processes

    def full(_published: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(leader.file, "write", full)
    monkeypatch.setattr(other.file, "write", full)
    for _ in range(3):
        leader.update(0.1)
        other.update(0.1)

    assert leader.asks
    assert other.asks
    assert len([record for record in caplog.records if "cannot be shared" in record.message]) == 2


def test_start__the_directory_cannot_be_written(
    processes: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process asks for itself."""
    process = processes[1]

    def refused() -> bool:
        raise PermissionError

    monkeypatch.setattr(process.file, "lead", refused)
    process.shared.start()

    assert process.asks


def test_look_again__in_the_other_process(processes: tuple[Process, Process]) -> None:
    """The process that asks probes its owner over a new connection, and searches for servers."""
    leader, other = processes
    leader.owner_answers(5)
    leader.update(0.1)
    before = leader.watch.probe._reconnects
    other.shared.look_again()
    leader.update(0.1)

    assert (before, leader.watch.probe._reconnects) == (False, True)


def test_update__a_new_server_of_the_other_process(
    processes: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection of the other process to a server without a probe lets the first process search, once."""
    leader, other = processes
    leader.owner_answers(5)
    leader.replica_answers(at(5))
    leader.update(0.1)
    searched: list[float] = []
    monkeypatch.setattr(leader.watch, "look_again", lambda: searched.append(leader.now))
    monkeypatch.setattr(sockets, "connected_servers", lambda _alias, excluded: {"new"} - set(excluded))
    for _ in range(3):
        other.update(0.1)
        leader.update(0.1)

    assert len(searched) == 1


def test_update__functions(processes: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions of the owner, which the first process has loaded, are known in the other one."""
    leader, other = processes
    leader.owner_answers(5)
    cache_catalog("default", Catalog(frozenset({"tidy"}), loaded_at=leader.now))
    leader.update(0.1)
    monkeypatch.setattr(volatile_functions, "_catalogs", {})  # of the other process
    other.update(0.1)

    assert known_catalog("default").read_only == {"tidy"}
