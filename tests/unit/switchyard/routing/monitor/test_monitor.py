"""ReplicationMonitor and the functions of its module. No thread runs and no server is probed."""

import threading
import time
from math import inf
from types import SimpleNamespace

import pytest
from django.db import connections
from django.test import override_settings
from tests.support.connected import connected
from tests.support.probed_servers import PROBE_ERROR, ProbedServers
from tests.support.published import at

from switchyard.routing.monitor import monitor
from switchyard.routing.monitor.monitor import ReplicationMonitor, _has_server, is_recovery_conflict, under_test
from switchyard.routing.topology.replication import Replica


def monitor_of(servers: ProbedServers) -> ReplicationMonitor:
    """Return a monitor that watches these servers, without threads."""
    made = ReplicationMonitor()
    made._watches = [servers.shared]
    return made


def test_report_failure__at_once(servers: ProbedServers) -> None:
    """The replica is unfit at once, and fit again after the answer to a probe that began later."""
    made = monitor_of(servers)
    servers.now = time.monotonic()
    servers.replica_answers(at(5))
    made.report_failure("replica", "down", "")
    assert servers.group.snapshot.replicas[0] == Replica("replica", "down", at(5))
    servers.watch.evaluate()  # with the sample from before the failure
    assert not servers.group.snapshot.replicas[0].fit
    servers.now = time.monotonic()
    servers.replica_answers(at(5))
    servers.watch.evaluate()

    assert servers.group.snapshot.replicas[0].fit
    assert servers.group.snapshot.replicas[1].fit


def test_report_failure__before_the_first_probe(servers: ProbedServers) -> None:
    """A replica without a sample becomes unfit as well."""
    monitor_of(servers).report_failure("replica", "down", "")

    assert servers.group.snapshot.replicas[0] == Replica("replica", "down")


def test_report_failure__of_an_owner(servers: ProbedServers) -> None:
    """A failure of an alias that is no watched replica changes nothing."""
    monitor_of(servers).report_failure("default", "down", "")

    assert [replica.fit for replica in servers.group.snapshot.replicas] == [True, True]


class ConflictError(Exception):
    """A driver's error."""

    sqlstate = "40001"


def test_is_recovery_conflict__by_sqlstate() -> None:
    """The SQLSTATE of the driver's error tells a recovery conflict, also when Django wraps the error."""
    wrapped = RuntimeError()
    wrapped.__cause__ = ConflictError()

    assert is_recovery_conflict(ConflictError())
    assert is_recovery_conflict(wrapped)
    assert not is_recovery_conflict(RuntimeError())


def test_start__embedded_databases() -> None:
    """SQLite files have no server to probe: no thread starts, and a second call changes nothing."""
    before = threading.active_count()
    made = ReplicationMonitor()
    made.start()
    made.start()

    assert threading.active_count() == before
    assert made.running()
    made.stop()
    assert not made.running()


def test_start__owners_and_replicas() -> None:
    """Each owner with a server is watched, with replicas or without; an alias that owns nothing is not."""
    server = {**connections.settings["default"], "ENGINE": "django.db.backends.postgresql", "NAME": "x"}
    names = {"alone": server, "idle": server}
    databases = {**{alias: connections.settings[alias] for alias in connections}, **names}
    with connected(databases), override_settings(SWITCHYARD={"OWNERS": {"*": "default", "legacy": "alone"}}):
        watched = [alias for alias in connections if _has_server(alias)]

    assert watched == ["alone"]


def test_watches__owners_and_replicas(servers: ProbedServers) -> None:
    """The monitor notices when an owner or a replica that it probes is down."""
    made = monitor_of(servers)

    assert [alias for alias in ("default", "replica", "legacy", "analytics") if made.watches(alias)] == [
        "default",
        "replica",
        "legacy",
    ]


def test_run__late(servers: ProbedServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delay is left out of the age of the running probes; after a standstill their ages begin anew."""
    times, turns = iter([100.0, 100.125, 100.375, 160.0]), iter([False, False, False, True])
    monkeypatch.setattr(monitor, "time", SimpleNamespace(monotonic=lambda: next(times)))
    stopped = SimpleNamespace(wait=lambda _seconds: next(turns))
    forgiven: list[float] = []
    monkeypatch.setattr(servers.shared, "update", lambda seconds: forgiven.append(round(seconds, 3)))
    monitor_of(servers)._run([servers.shared], stopped)  # type: ignore[arg-type]

    assert forgiven == [0.025, 0.15, inf]


def test_ensure_running__under_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """No monitor starts under Django's test environment: an open connection would hinder the end of its databases."""
    started: list[int] = []
    monkeypatch.setattr(monitor, "start", lambda: started.append(1))
    assert under_test()
    monitor.ensure_running()
    assert not started
    monkeypatch.setattr(monitor, "under_test", lambda: False)
    monitor.ensure_running()

    assert started == [1]


def test_stop__resets_the_snapshot(servers: ProbedServers) -> None:
    """Every replica is fit after the monitor stopped."""
    made = monitor_of(servers)
    servers.replica_probe().error = PROBE_ERROR
    servers.evaluate()
    made.stop()

    assert [replica.fit for replica in servers.group.snapshot.replicas] == [True, True]
