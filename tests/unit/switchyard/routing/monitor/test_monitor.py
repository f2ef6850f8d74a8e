"""Judgements, by answers that a test gives: no thread runs and no server is asked."""

import logging
import threading
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from tests.support.published import at, lagging

from switchyard.positions import Position, ServerStatus
from switchyard.routing.monitor import monitor, sockets
from switchyard.routing.monitor.discovery import DiscoveryProbe
from switchyard.routing.monitor.monitor import (
    ReplicationMonitor,
    is_recovery_conflict,
    under_test,
)
from switchyard.routing.monitor.probe import ServerProbe
from switchyard.routing.monitor.watch import OWNER_TIMEOUT_SECONDS, OwnerWatch
from switchyard.routing.topology.replication import Replica, ReplicationSet, Sample, shared_aliases

START = 1000.0


class Servers:
    """An owner and two replicas, at a time that the test sets."""

    def __init__(self, group: ReplicationSet) -> None:
        self.now = START
        self.watch = OwnerWatch(group, clock=lambda: self.now)
        self.group = group

    def owner(self, lsn: int | None, *, follows: bool = False, writable: bool = True, timeline: int = 1) -> None:
        position = None if lsn is None else at(lsn, timeline=timeline)
        self.watch.probe.error = ""
        self.watch.probe.last_sample = Sample(self.now, ServerStatus("owner", follows, writable, position))

    def replica(self, position: Position | None, *, number: int = 0, follows: bool = True) -> None:
        asker = self.asker(number)
        asker.error = ""
        asker.last_sample = Sample(
            self.now, ServerStatus(f"replica {number}", follows, writable=False, position=position)
        )

    def asker(self, number: int = 0) -> ServerProbe:
        return self.watch.replicas[number].probe

    def judged(self, seconds: float = 0.0) -> Replica:
        """Return what is published of the first replica after the judgement of so many seconds later."""
        self.now += seconds
        self.watch.evaluate()
        return self.group.snapshot.replicas[0]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    """Two replicas that nobody asked yet."""
    monkeypatch.setattr(sockets, "shutdown", lambda _alias: 0)
    with lagging("replica", "legacy") as group:
        yield Servers(group)


def test_judge__never_asked(servers: Servers) -> None:
    """The replica is fit, and known to have replayed nothing."""
    assert servers.judged() == Replica("replica")


def test_judge__replayed_everything(servers: Servers) -> None:
    """Its lag is 0, on an owner that is idle for hours, too."""
    servers.owner(5)
    servers.now += 0.1
    servers.replica(at(5))
    assert servers.judged() == Replica("replica", "", at(5), 0.0, 0)
    servers.now += 3600
    servers.owner(5)
    servers.replica(at(5))

    assert servers.judged() == Replica("replica", "", at(5), 0.0, 0)


def test_judge__behind(servers: Servers) -> None:
    """Its lag is the age of what it has not replayed, and the log in between."""
    servers.owner(5)
    servers.judged()
    servers.now += 10
    servers.replica(at(3))

    assert servers.judged() == Replica("replica", "", at(3), 10.0, 2)


@pytest.mark.parametrize(
    ("max_lag", "seconds", "reason"),
    [
        (None, 29, ""),
        (None, 31, "lagging"),
        (5, 6, "lagging"),
        ({"replica": 50}, 31, ""),
        ({"legacy": 5}, 31, "lagging"),
    ],
)
def test_judge__max_lag(servers: Servers, max_lag: object, seconds: float, reason: str) -> None:
    """Beyond it the replica is unfit; the setting is one number, or one for some replicas."""
    given = {} if max_lag is None else {"MAX_LAG_SECONDS": max_lag}
    servers.owner(5)
    servers.judged()
    servers.now += seconds
    servers.owner(5)
    servers.replica(at(3))
    # Only the settings: that they changed would make other sets than the one that is watched.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "SWITCHYARD", {**settings.SWITCHYARD, **given})

        assert servers.judged().unfit_reason == reason


def test_judge__an_owner_that_is_down(servers: Servers) -> None:
    """Its last sample stands, and the lag stands still: the replica stays fit for those who owe nothing."""
    servers.owner(5)
    servers.judged()
    servers.now += 10
    servers.replica(at(3))
    servers.judged()
    servers.watch.probe.error = "OperationalError when asked"
    servers.now += 3600
    servers.replica(at(3))
    found = servers.judged()

    assert servers.group.snapshot.unavailable_reason == "down"
    assert servers.group.snapshot.owner_sample is not None
    assert (found.unfit_reason, found.lag_seconds) == ("", 10.0)


def test_judge__an_owner_that_came_back(servers: Servers) -> None:
    """It may be written again, and the lag goes on."""
    servers.owner(5)
    servers.judged()
    servers.watch.probe.error = "OperationalError when asked"
    servers.judged(100)
    servers.owner(6)
    servers.replica(at(6))
    found = servers.judged()

    assert servers.group.snapshot.unavailable_reason == ""
    assert found.fit
    assert servers.group.snapshot.owner_sample is servers.watch.probe.last_sample


@pytest.mark.parametrize(
    ("position", "follows", "reason"),
    [
        (at(5), True, ""),
        (at(5), False, "promoted"),
        (None, True, "empty"),
        (at(5, system="2"), True, "other_system"),
        (at(5, timeline=1), True, "superseded"),
    ],
)
def test_judge__rows_that_are_not_the_owners(
    servers: Servers, position: Position | None, reason: str, *, follows: bool
) -> None:
    """It answers, and is unfit all the same: promoted, empty, of another system or of an older timeline."""
    servers.owner(5, timeline=2 if reason == "superseded" else 1)
    servers.replica(position, follows=follows)
    found = servers.judged()

    assert found.unfit_reason == reason
    assert found.position == (position if found.fit else None)


def test_judge__unmigrated(servers: Servers) -> None:
    """Its tables are not those of the models yet."""
    servers.replica(at(5))
    servers.asker().error = "unmigrated"

    assert servers.judged() == Replica("replica", "unmigrated", at(5))


def test_judge__a_question_that_failed(servers: Servers) -> None:
    """It is down until it answers again; what it had replayed it has still."""
    servers.replica(at(5))
    servers.asker().error = "OperationalError when asked"
    assert servers.judged() == Replica("replica", "down", at(5))
    servers.replica(at(6))

    assert servers.judged().fit


def test_judge__a_question_without_an_answer(servers: Servers) -> None:
    """The deadline judges it while the question still waits."""
    servers.replica(at(5))
    servers.asker()._began_at = servers.now
    assert servers.judged(0.4).fit
    assert servers.judged(0.2).unfit_reason == "down"
    servers.asker()._began_at = None

    assert servers.judged().fit


def test_judge__each_replica_by_itself(servers: Servers) -> None:
    """One that is down leaves the other one fit."""
    servers.replica(at(5), number=1)
    servers.asker(0).error = "OperationalError when asked"
    servers.judged()

    assert [each.alias for each in servers.group.snapshot.eligible] == ["legacy"]


def test_judge__what_changed_is_logged_once(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    """Each change has one line, with its reason and without a host's name."""
    with caplog.at_level(logging.INFO, "switchyard.routing.monitor.monitor"):
        servers.asker().error = "OperationalError when asked"
        servers.judged()
        servers.judged()
        servers.replica(at(5))
        servers.judged()
        servers.judged()

    assert caplog.messages == [
        "Replica 'replica' is unfit (down): its reads go elsewhere.",
        "Replica 'replica' is fit again.",
    ]


def test_judge__whose_connections_are_cut(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a replica that hangs; where it answers or refuses, other queries go on."""
    cut: list[str] = []

    def sever(alias: str) -> int:
        cut.append(alias)
        return 3

    monkeypatch.setattr(sockets, "shutdown", sever)
    servers.replica(at(5), number=0)
    servers.replica(at(5), number=1)
    servers.judged()
    servers.watch.replicas[1].reported_failure = (servers.now, "conflict")
    servers.judged()
    assert cut == []
    servers.asker(0).error = "OperationalError when asked"
    servers.judged()
    assert cut == []
    servers.asker(0).error = ""
    servers.judged()
    servers.asker(0)._began_at = servers.now - 1
    servers.judged()
    assert cut == ["replica"]
    servers.owner(5, follows=True)
    servers.judged()

    assert cut == ["replica", "default"]


def test_judge__who_is_asked_over_a_new_connection(servers: Servers) -> None:
    """Where another server answers, the address may lead to the right one again, and the open connection would not."""
    servers.replica(at(5), number=0)
    servers.owner(5)
    servers.judged()
    askers = servers.asker(0), servers.watch.probe
    assert [asker._reconnects for asker in askers] == [False, False]

    servers.replica(at(5), number=0, follows=False)
    servers.owner(5, follows=True)
    servers.judged()

    assert [asker._reconnects for asker in askers] == [True, True]


def test_refusal__kinds(servers: Servers) -> None:
    """An owner is not to be written while it is down, hangs, follows another, is read-only or was superseded."""
    servers.judged()
    found = [servers.group.snapshot.unavailable_reason]
    servers.owner(5, timeline=2)
    servers.judged()
    found.append(servers.group.snapshot.unavailable_reason)
    servers.watch.probe.last_sample = Sample(servers.now, ServerStatus("standby", True, False, at(6, timeline=2)))
    servers.judged()
    found.append(servers.group.snapshot.unavailable_reason)
    servers.owner(6, writable=False, timeline=2)
    servers.judged()
    found.append(servers.group.snapshot.unavailable_reason)
    servers.owner(900, timeline=1)
    servers.judged()
    found.append(servers.group.snapshot.unavailable_reason)
    servers.watch.probe.error = "OperationalError when asked"
    servers.judged()
    found.append(servers.group.snapshot.unavailable_reason)
    servers.owner(7, timeline=2)
    servers.judged()
    found.append(servers.group.snapshot.unavailable_reason)

    assert found == ["", "", "standby", "read_only", "superseded", "down", ""]


def test_refusal__read_only_on_mysql(servers: Servers) -> None:
    """Whether a server is fenced or follows another one MySQL does not say: the one that took writes here is fenced."""
    servers.owner(5)
    servers.judged()
    servers.owner(5, follows=True, writable=False)
    servers.judged()

    assert servers.group.snapshot.unavailable_reason == "read_only"


def test_refusal__an_owner_that_stalls(servers: Servers) -> None:
    """A stall is no loss; beyond the deadline it is one."""
    servers.owner(5)
    servers.watch.probe._began_at = servers.now
    servers.judged(OWNER_TIMEOUT_SECONDS - 0.1)
    before = servers.group.snapshot.unavailable_reason
    servers.judged(0.2)

    assert (before, servers.group.snapshot.unavailable_reason) == ("", "down")


def test_refusal__is_no_sample(servers: Servers) -> None:
    """What a standby or a superseded server says is never taken for the owner's position."""
    servers.owner(5, timeline=2)
    servers.judged()
    good = servers.group.snapshot.owner_sample
    servers.owner(900, timeline=1)
    servers.judged()
    servers.owner(901, follows=True, timeline=2)
    servers.judged()

    assert servers.group.snapshot.owner_sample is good


def test_refusal__is_logged(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    """Once when it begins, with its reason, and once when it ends."""
    with caplog.at_level(logging.INFO, "switchyard.routing.monitor.monitor"):
        servers.owner(5, follows=True)
        servers.judged()
        servers.judged()
        servers.owner(5)
        servers.judged()

    assert caplog.messages == [
        "Owner 'default' must not be written (standby): 0 connections shut down.",
        "Owner 'default' may be written again.",
    ]


def test_judge__history_is_pruned(servers: Servers) -> None:
    """What all replicas have replayed is not kept, and what one has not is."""
    for lsn in range(1, 30):
        servers.owner(lsn)
        servers.replica(at(lsn), number=0)
        servers.replica(at(10), number=1)
        servers.judged(1)

    assert [written.position for written in servers.watch._history._written] == [at(lsn) for lsn in range(11, 30)]


def watching(servers: Servers) -> ReplicationMonitor:
    made = ReplicationMonitor()
    made._watches = [servers.watch]
    return made


def test_report__opens_at_once(servers: Servers) -> None:
    """A failed query opens the circuit, and only an answer to a later question closes it."""
    made = watching(servers)
    servers.now = time.monotonic()
    servers.replica(at(5))
    made.report_failure("replica", "down")
    assert servers.group.snapshot.replicas[0] == Replica("replica", "down", at(5))
    servers.watch.evaluate()  # with the answer to a question from before the failure
    assert not servers.group.snapshot.replicas[0].fit
    servers.now = time.monotonic()
    servers.replica(at(5))
    servers.watch.evaluate()

    assert servers.group.snapshot.replicas[0].fit
    assert servers.group.snapshot.replicas[1].fit


def test_report__before_the_first_answer(servers: Servers) -> None:
    """The circuit opens as well, though nobody has asked yet."""
    watching(servers).report_failure("replica", "down")

    assert servers.group.snapshot.replicas[0] == Replica("replica", "down")


def test_report__of_an_alias_that_nobody_watches(servers: Servers) -> None:
    """Nothing changes."""
    watching(servers).report_failure("default", "down")

    assert [each.fit for each in servers.group.snapshot.replicas] == [True, True]


class ConflictError(Exception):
    """A driver's error."""

    sqlstate = "40001"


def test_is_conflict__by_the_drivers_error() -> None:
    """Recovery conflicts are told by SQLSTATE, on the driver's error or beneath Django's."""
    wrapped = RuntimeError()
    wrapped.__cause__ = ConflictError()

    assert is_recovery_conflict(ConflictError())
    assert is_recovery_conflict(wrapped)
    assert not is_recovery_conflict(RuntimeError())


def test_start__embedded_databases() -> None:
    """A SQLite file is no server that could be away: no thread is started, and a second call changes nothing."""
    before = threading.active_count()
    made = ReplicationMonitor()
    made.start()
    made.start()

    assert threading.active_count() == before
    assert made.running()
    made.stop()
    assert not made.running()


def test_serve__under_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked where Django's test environment is set up: the connections would hold up the databases' end."""
    started: list[int] = []
    monkeypatch.setattr(monitor, "start", lambda: started.append(1))
    assert under_test()
    monitor.ensure_running()
    assert not started
    monkeypatch.setattr(monitor, "under_test", lambda: False)
    monitor.ensure_running()

    assert started == [1]


def test_stop__forgets_what_was_found(servers: Servers) -> None:
    """Every replica is fit again for those who go on without it."""
    made = watching(servers)
    servers.asker().error = "OperationalError when asked"
    servers.judged()
    made.stop()

    assert [each.fit for each in servers.group.snapshot.replicas] == [True, True]


def test_judge__another_server_in_its_place(servers: Servers) -> None:
    """It is not read before it has what the owner had when it was met."""
    servers.owner(5)
    servers.replica(at(5))
    servers.judged()
    servers.asker().last_sample = Sample(
        servers.now, ServerStatus("another", is_standby=True, writable=False, position=at(5))
    )
    found = [servers.judged(1).unfit_reason]
    servers.now += 1
    servers.owner(6)
    servers.asker().last_sample = Sample(
        servers.now, ServerStatus("another", is_standby=True, writable=False, position=at(5))
    )
    found.append(servers.judged(1).unfit_reason)
    servers.asker().last_sample = Sample(
        servers.now, ServerStatus("another", is_standby=True, writable=False, position=at(6))
    )
    found.append(servers.judged(1).unfit_reason)

    assert found == ["unverified", "unverified", ""]
    assert list(servers.group.snapshot.by_server) == ["another"]


def test_judge__several_servers_behind_one_alias(servers: Servers) -> None:
    """Each has what it says of itself; the alias has what the first one says."""
    watch = servers.watch.replicas[0]
    seeker = DiscoveryProbe("replica", lambda _seeker: set(), lambda _cursor: "")
    watch.discovery.discovered.append(seeker)
    servers.owner(5)
    servers.replica(at(5))
    servers.judged()
    seeker.last_sample = Sample(servers.now, ServerStatus("late", is_standby=True, writable=False, position=at(3)))
    servers.owner(6)
    servers.replica(at(6))
    found = servers.judged(1)

    assert (found.fit, found.position) == (True, at(6))
    assert {
        server: (each.unfit_reason, each.position) for server, each in servers.group.snapshot.by_server.items()
    } == {
        "replica 0": ("", at(6)),
        "late": ("unverified", at(3)),
    }
    assert "replica" in shared_aliases
    servers.group.reset()


def test_judge__another_owner(servers: Servers) -> None:
    """What was sampled of the one before, of another system or set back, is no lag of its replica."""
    for lsn in (5, 6, 7):
        servers.owner(lsn)
        servers.judged(1)
    servers.watch.probe.last_sample = Sample(
        servers.now, ServerStatus("restored", is_standby=False, writable=True, position=at(3))
    )
    servers.replica(at(3))
    restored = servers.judged(1)
    other = at(9, system="2")
    servers.watch.probe.last_sample = Sample(
        servers.now, ServerStatus("other", is_standby=False, writable=True, position=other)
    )
    servers.replica(other)
    foreign = servers.judged(1)

    assert (restored.unfit_reason, restored.lag_seconds) == ("", 0.0)
    assert (foreign.unfit_reason, foreign.lag_seconds) == ("", 0.0)
    assert [each.position for each in servers.watch._history._written] == [other]


def test_judge__a_neighbour_that_hangs(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what leads to that server is cut, once; the alias is read on."""
    cut: list[tuple[str, ...]] = []
    monkeypatch.setattr(sockets, "shutdown", lambda *cuts: cut.append(cuts) or 0)
    seeker = DiscoveryProbe("replica", lambda _seeker: set(), lambda _cursor: "")
    servers.watch.replicas[0].discovery.discovered.append(seeker)
    servers.replica(at(5))
    seeker.last_sample = Sample(servers.now, ServerStatus("late", is_standby=True, writable=False, position=at(5)))
    servers.judged()
    seeker._began_at = servers.now
    found = [servers.judged(1).fit, servers.judged(1).fit]

    assert found == [True, True]
    assert servers.group.snapshot.by_server["late"].unfit_reason == "down"
    assert cut == [("replica", "late")]
    servers.group.reset()
