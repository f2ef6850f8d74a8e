"""Evaluations of owners, from statuses that a test sets."""

import logging
from math import inf

import pytest
from tests.support.probed_servers import PROBE_ERROR, ProbedServers
from tests.support.published import at

from switchyard.positions import ServerStatus
from switchyard.routing.monitor.monitor import EVALUATION_INTERVAL_SECONDS
from switchyard.routing.monitor.probes.probe import PROBE_INTERVAL_SECONDS
from switchyard.routing.monitor.waits import Waits, waits_for
from switchyard.routing.monitor.watch import OWNER_LATE_SECONDS, OWNER_TIMEOUT_SECONDS
from switchyard.routing.topology.replication import ReplicationSet, Sample, Shutdown


def test_evaluate__an_owner_that_is_down(servers: ProbedServers) -> None:
    """The last sample stays and the lag stops growing: the replica stays fit without a required position."""
    servers.owner_answers(5)
    servers.evaluate()
    servers.now += 10
    servers.replica_answers(at(3))
    servers.evaluate()
    servers.watch.probe.error = PROBE_ERROR
    servers.now += 3600
    servers.replica_answers(at(3))
    replica = servers.evaluate()

    assert servers.group.snapshot.unavailable_reason == "down"
    assert servers.group.snapshot.owner_sample is not None
    assert (replica.unfit_reason, replica.lag_seconds) == ("", 10.0)


def test_evaluate__an_owner_that_came_back(servers: ProbedServers) -> None:
    """The owner may be written again, and the replica is fit."""
    servers.owner_answers(5)
    servers.evaluate()
    servers.watch.probe.error = PROBE_ERROR
    servers.evaluate(100)
    servers.owner_answers(6)
    servers.replica_answers(at(6))
    replica = servers.evaluate()

    assert servers.group.snapshot.unavailable_reason == ""
    assert replica.fit
    assert servers.group.snapshot.owner_sample is servers.watch.probe.last_sample


def test_evaluate__another_owner(servers: ProbedServers) -> None:
    """Samples of an earlier owner, of another system or restored since, are no lag of the replica."""
    for lsn in (5, 6, 7):
        servers.owner_answers(lsn)
        servers.evaluate(1)
    servers.owner_answers(3, server="restored")
    servers.replica_answers(at(3))
    restored = servers.evaluate(1)
    other_position = at(9, system="2")
    servers.owner_answers(9, server="other", system="2")
    servers.replica_answers(other_position)
    other = servers.evaluate(1)

    assert (restored.unfit_reason, restored.lag_seconds) == ("", 0.0)
    assert (other.unfit_reason, other.lag_seconds) == ("", 0.0)
    assert [written.position for written in servers.watch._history._written] == [other_position]


def test_evaluate__history_is_pruned(servers: ProbedServers) -> None:
    """The history keeps only positions that some replica has not replayed."""
    for lsn in range(1, 30):
        servers.owner_answers(lsn)
        servers.replica_answers(at(lsn), number=0)
        servers.replica_answers(at(10), number=1)
        servers.evaluate(1)

    assert [written.position for written in servers.watch._history._written] == [at(lsn) for lsn in range(11, 30)]


def test_unavailable_reason__kinds(servers: ProbedServers) -> None:
    """The reason is that the owner is a standby, read-only, superseded or down; without a reason the text is empty."""
    servers.evaluate()
    reasons = [servers.group.snapshot.unavailable_reason]
    servers.owner_answers(5, timeline=2)
    servers.evaluate()
    reasons.append(servers.group.snapshot.unavailable_reason)
    servers.owner_answers(6, server="standby", is_standby=True, writable=False, timeline=2)
    servers.evaluate()
    reasons.append(servers.group.snapshot.unavailable_reason)
    servers.owner_answers(6, writable=False, timeline=2)
    servers.evaluate()
    reasons.append(servers.group.snapshot.unavailable_reason)
    servers.owner_answers(900, timeline=1)
    servers.evaluate()
    reasons.append(servers.group.snapshot.unavailable_reason)
    servers.watch.probe.error = PROBE_ERROR
    servers.evaluate()
    reasons.append(servers.group.snapshot.unavailable_reason)
    servers.owner_answers(7, timeline=2)
    servers.evaluate()
    reasons.append(servers.group.snapshot.unavailable_reason)

    assert reasons == ["", "", "standby", "read_only", "superseded", "down", ""]


def test_unavailable_reason__read_only_on_mysql(servers: ProbedServers) -> None:
    """The server that took the writes before is read-only, though MySQL reports a read-only server as a standby."""
    servers.owner_answers(5)
    servers.evaluate()
    servers.owner_answers(5, is_standby=True, writable=False)
    servers.evaluate()

    assert servers.group.snapshot.unavailable_reason == "read_only"


def states(servers: ProbedServers, *steps_seconds: float) -> list[str]:
    """Return the state of the owner after each step: its reason, `late` or an empty text."""
    found = []
    for seconds in steps_seconds:
        servers.evaluate(seconds)
        snapshot = servers.group.snapshot
        found.append(snapshot.unavailable_reason or ("late" if snapshot.answers_late else ""))
    return found


def test_unavailable_reason__a_pending_probe(servers: ProbedServers) -> None:
    """The owner answers late, then it is down, by the age of its probe."""
    servers.owner_answers(5)
    servers.watch.probe._began_at = servers.now
    found = states(servers, OWNER_LATE_SECONDS - 0.1, 0.2, OWNER_TIMEOUT_SECONDS - OWNER_LATE_SECONDS)
    servers.watch.probe._began_at = None
    found += states(servers, 0.1)

    assert found == ["", "late", "down", ""]


def test_unavailable_reason__within_a_second() -> None:
    """A hang is known 1.1 s after its begin, even if a probe and an evaluation came just before it."""
    assert PROBE_INTERVAL_SECONDS + OWNER_TIMEOUT_SECONDS + EVALUATION_INTERVAL_SECONDS <= 1.1


def test_unavailable_reason__a_busy_server(servers: ProbedServers) -> None:
    """A server that answers calls is neither late nor down, however long it lets a probe wait, or refuses it."""
    servers.owner_answers(5)
    servers.watch.probe._began_at = servers.now
    found = []
    for _ in range(20):
        waits_for("default").answered += 1
        found += states(servers, 0.2)
    servers.watch.probe._began_at = None
    servers.watch.probe.error = PROBE_ERROR
    waits_for("default").answered += 1
    found += states(servers, 0.1)

    assert set(found) == {""}
    assert states(servers, 0.3) == ["down"]


def test_unavailable_reason__after_a_standstill(servers: ProbedServers) -> None:
    """The time in which this process stood still does not count."""
    servers.owner_answers(5)
    servers.watch.probe._began_at = servers.now
    servers.now += 60
    servers.watch.forgive(inf)

    assert states(servers, 0, OWNER_LATE_SECONDS - 0.1, OWNER_TIMEOUT_SECONDS) == ["", "", "down"]


def test_unavailable_reason__of_a_process_that_waits_for_a_core(servers: ProbedServers) -> None:
    """The time in which the threads of this process waited for a core does not count, and the rest does."""
    servers.owner_answers(5)
    servers.watch.probe._began_at = servers.now
    found = []
    for _ in range(7):
        servers.now += 0.375
        servers.watch.forgive(0.25)
        found += states(servers, 0)

    assert found == ["", "", "late", "late", "late", "late", "down"]


def test_answers_late__calls_beyond_the_share(servers: ProbedServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the owner answers late, and only then, the calls beyond the share are ended."""
    ended: list[float] = []
    monkeypatch.setattr(Waits, "end_beyond_share", lambda _waits: ended.append(servers.now) or 0)
    servers.owner_answers(5)
    servers.watch.probe._began_at = servers.now
    found = states(servers, OWNER_LATE_SECONDS - 0.1, 0.2, OWNER_TIMEOUT_SECONDS)

    assert found == ["", "late", "down"]
    assert ended == [servers.now - OWNER_TIMEOUT_SECONDS]


def test_watch__an_owner_without_replicas() -> None:
    """Its state is published as that of any owner, and it has no position."""
    alone = ProbedServers(ReplicationSet("analytics"))
    alone.watch.probe.last_sample = Sample(alone.now, ServerStatus("", False, True, None))
    alone.watch.evaluate()
    before = alone.group.snapshot.unavailable_reason
    alone.watch.probe.error = PROBE_ERROR
    alone.watch.evaluate()

    assert (before, alone.group.snapshot.unavailable_reason) == ("", "down")
    assert list(alone.watch.probes()) == [alone.watch.probe]


def test_unavailable_reason__owner_sample_is_kept(servers: ProbedServers) -> None:
    """The status of a standby or of a superseded server never becomes the owner's sample."""
    servers.owner_answers(5, timeline=2)
    servers.evaluate()
    owner_sample = servers.group.snapshot.owner_sample
    servers.owner_answers(900, timeline=1)
    servers.evaluate()
    servers.owner_answers(901, is_standby=True, timeline=2)
    servers.evaluate()

    assert servers.group.snapshot.owner_sample is owner_sample


def test_unavailable_reason__is_logged_once(servers: ProbedServers, caplog: pytest.LogCaptureFixture) -> None:
    """One line with the reason is logged when the owner becomes unavailable, and one line when it is back."""
    with caplog.at_level(logging.INFO, "switchyard.routing.monitor.watch"):
        servers.owner_answers(5, is_standby=True)
        servers.evaluate()
        servers.evaluate()
        servers.owner_answers(5)
        servers.evaluate()

    assert caplog.messages == [
        "Owner 'default' must not be written (standby): 0 connections shut down.",
        "Owner 'default' may be written again.",
    ]


def promoted(servers: ProbedServers, replayed: int, *, shut_down: bool = True) -> Shutdown | None:
    """Let the owner end after the position 5, and one standby be promoted; return what is published."""
    servers.owner_answers(5)
    servers.evaluate()
    servers.watch.probe.error, servers.watch.probe.shut_down = PROBE_ERROR, shut_down
    status = ServerStatus("replica 0", is_standby=False, writable=True, position=at(9, timeline=2))
    status = status._replace(replayed=at(replayed))
    servers.replica_probe().last_sample = Sample(servers.now, status)
    servers.evaluate(1)
    return servers.group.snapshot.shutdown


def test_shutdown__a_promoted_standby(servers: ProbedServers) -> None:
    """The promoted standby shows all that the owner's server had written, until the owner answers again."""
    found = promoted(servers, 7)
    servers.evaluate(1)
    later = servers.group.snapshot.shutdown
    servers.owner_answers(9, server="replica 0", timeline=2)
    servers.watch.probe.shut_down = False
    servers.evaluate(1)

    assert found == later == Shutdown(servers.now - 2, servers.now - 2, at(7))
    assert servers.group.snapshot.shutdown is None


def test_shutdown__a_standby_that_lacks_rows(servers: ProbedServers) -> None:
    """A promoted standby without the owner's known position did not get all that the owner had written."""
    assert promoted(servers, 4) == Shutdown(servers.now)


def test_shutdown__a_crash(servers: ProbedServers) -> None:
    """A crash tells nothing about the standbys."""
    assert promoted(servers, 7, shut_down=False) is None
