"""Evaluations of replicas, from statuses that a test sets."""

import logging

import pytest
from django.conf import settings
from tests.support.probed_servers import PROBE_ERROR, ProbedServers
from tests.support.published import at

from switchyard.positions import Position, ServerStatus
from switchyard.routing.monitor import sockets
from switchyard.routing.topology.replication import Replica, Sample, shared_aliases


def test_evaluate__never_probed(servers: ProbedServers) -> None:
    """The replica is fit, and is not known to have replayed anything."""
    assert servers.evaluate() == Replica("replica")


def test_evaluate__replayed_everything(servers: ProbedServers) -> None:
    """The lag is 0, also after the owner was idle for an hour."""
    servers.owner_answers(5)
    servers.now += 0.1
    servers.replica_answers(at(5))
    assert servers.evaluate() == Replica("replica", "", at(5), 0.0, 0)
    servers.now += 3600
    servers.owner_answers(5)
    servers.replica_answers(at(5))

    assert servers.evaluate() == Replica("replica", "", at(5), 0.0, 0)


def test_evaluate__not_caught_up(servers: ProbedServers) -> None:
    """The lag is the age of the oldest write that is not replayed, and the bytes of log since then."""
    servers.owner_answers(5)
    servers.evaluate()
    servers.now += 10
    servers.replica_answers(at(3))

    assert servers.evaluate() == Replica("replica", "", at(3), 10.0, 2)


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
def test_evaluate__max_lag(servers: ProbedServers, max_lag: object, seconds: float, reason: str) -> None:
    """A replica with more lag is unfit; the setting is one number, or a number for some replicas."""
    changes = {} if max_lag is None else {"MAX_LAG_SECONDS": max_lag}
    servers.owner_answers(5)
    servers.evaluate()
    servers.now += seconds
    servers.owner_answers(5)
    servers.replica_answers(at(3))
    # Only the value changes, without the signal `setting_changed`, which would replace the watched replication set.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "SWITCHYARD", {**settings.SWITCHYARD, **changes})

        assert servers.evaluate().unfit_reason == reason


@pytest.mark.parametrize(
    ("position", "is_standby", "reason"),
    [
        (at(5), True, ""),
        (at(5), False, "promoted"),
        (None, True, "empty"),
        (at(5, system="2"), True, "other_system"),
        (at(5, timeline=1), True, "superseded"),
    ],
)
def test_evaluate__other_rows_than_the_owner(
    servers: ProbedServers, position: Position | None, reason: str, *, is_standby: bool
) -> None:
    """A server that answers is unfit if it is promoted, empty, of another system or of an older timeline."""
    servers.owner_answers(5, timeline=2 if reason == "superseded" else 1)
    servers.replica_answers(position, is_standby=is_standby)
    replica = servers.evaluate()

    assert replica.unfit_reason == reason
    assert replica.position == (position if replica.fit else None)


@pytest.mark.parametrize(("later_server", "reason"), [("a", ""), ("b", "superseded")])
def test_evaluate__the_timeline_of_a_running_server(servers: ProbedServers, later_server: str, reason: str) -> None:
    """A server keeps the timeline that it showed to any probe; another server has only its own."""
    servers.owner_answers(5, timeline=2)
    probe = servers.discover_server()
    status = ServerStatus("a", is_standby=True, writable=False, position=at(5, timeline=2))
    probe.last_sample = Sample(servers.now, status)
    servers.evaluate(1)
    probe.last_sample = None
    servers.replica_answers(at(6), server=later_server)

    assert servers.evaluate(1).unfit_reason == reason


def test_evaluate__unmigrated(servers: ProbedServers) -> None:
    """A replica is unfit while its tables lack a migration of the owner."""
    servers.replica_answers(at(5))
    servers.replica_probe().error = "unmigrated"

    assert servers.evaluate() == Replica("replica", "unmigrated", at(5))


def test_evaluate__a_failed_probe(servers: ProbedServers) -> None:
    """The replica is down until its server answers again, and keeps its replayed position."""
    servers.replica_answers(at(5))
    servers.replica_probe().error = PROBE_ERROR
    assert servers.evaluate() == Replica("replica", "down", at(5))
    servers.replica_answers(at(6))

    assert servers.evaluate().fit


def test_evaluate__a_pending_probe(servers: ProbedServers) -> None:
    """The replica is down once its probe is pending for longer than the timeout."""
    servers.replica_answers(at(5))
    servers.replica_probe()._began_at = servers.now
    assert servers.evaluate(0.4).fit
    assert servers.evaluate(0.2).unfit_reason == "down"
    servers.replica_probe()._began_at = None

    assert servers.evaluate().fit


def test_evaluate__one_of_two_replicas_down(servers: ProbedServers) -> None:
    """The other replica stays fit."""
    servers.replica_answers(at(5), number=1)
    servers.replica_probe(0).error = PROBE_ERROR
    servers.evaluate()

    assert [replica.alias for replica in servers.group.snapshot.eligible] == ["legacy"]


def test_evaluate__changes_are_logged_once(servers: ProbedServers, caplog: pytest.LogCaptureFixture) -> None:
    """Each change of a replica logs one line with the reason, without the name of a host."""
    with caplog.at_level(logging.INFO, "switchyard.routing.monitor.watch"):
        servers.replica_probe().error = PROBE_ERROR
        servers.evaluate()
        servers.evaluate()
        servers.replica_answers(at(5))
        servers.evaluate()
        servers.evaluate()

    assert caplog.messages == [
        "Replica 'replica' is unfit (down): its reads go elsewhere.",
        "Replica 'replica' is fit again.",
    ]


def test_evaluate__shuts_down_connections(servers: ProbedServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to a hung replica and to an unavailable owner are shut down; a conflict or an error shuts none."""
    shut_down: list[str] = []

    def shutdown(alias: str) -> int:
        shut_down.append(alias)
        return 3

    monkeypatch.setattr(sockets, "shutdown", shutdown)
    servers.replica_answers(at(5), number=0)
    servers.replica_answers(at(5), number=1)
    servers.evaluate()
    servers.watch.replicas[1].reported_failures[""] = (servers.now, "conflict")
    servers.evaluate()
    assert shut_down == []
    servers.replica_probe(0).error = PROBE_ERROR
    servers.evaluate()
    assert shut_down == []
    servers.replica_probe(0).error = ""
    servers.evaluate()
    servers.replica_probe(0)._began_at = servers.now - 1
    servers.evaluate()
    assert shut_down == ["replica"]
    servers.owner_answers(5, is_standby=True)
    servers.evaluate()

    assert shut_down == ["replica", "default"]


def test_evaluate__reconnects_to_another_server(servers: ProbedServers) -> None:
    """If another server answers, the next probe opens a new connection: the address may lead to the right server."""
    servers.replica_answers(at(5), number=0)
    servers.owner_answers(5)
    servers.evaluate()
    probes = servers.replica_probe(0), servers.watch.probe
    assert [probe._reconnects for probe in probes] == [False, False]

    servers.replica_answers(at(5), number=0, is_standby=False)
    servers.owner_answers(5, is_standby=True)
    servers.evaluate()

    assert [probe._reconnects for probe in probes] == [True, True]


def test_evaluate__another_server_behind_the_alias(servers: ProbedServers) -> None:
    """The new server is unverified until it has replayed the position of the owner at the time of the first sight."""
    servers.owner_answers(5)
    servers.replica_answers(at(5))
    servers.evaluate()
    servers.replica_answers(at(5), server="another")
    reasons = [servers.evaluate(1).unfit_reason]
    servers.now += 1
    servers.owner_answers(6)
    servers.replica_answers(at(5), server="another")
    reasons.append(servers.evaluate(1).unfit_reason)
    servers.replica_answers(at(6), server="another")
    reasons.append(servers.evaluate(1).unfit_reason)

    assert reasons == ["unverified", "unverified", ""]
    assert list(servers.group.snapshot.by_server) == ["another"]


def test_evaluate__several_servers_behind_one_alias(servers: ProbedServers) -> None:
    """Each server is evaluated by its own status; the alias has the status of the first server."""
    discovered = servers.discover_server()
    servers.owner_answers(5)
    servers.replica_answers(at(5))
    servers.evaluate()
    discovered.last_sample = Sample(servers.now, ServerStatus("late", is_standby=True, writable=False, position=at(3)))
    servers.owner_answers(6)
    servers.replica_answers(at(6))
    replica = servers.evaluate(1)

    assert (replica.fit, replica.position) == (True, at(6))
    assert {
        server: (each.unfit_reason, each.position) for server, each in servers.group.snapshot.by_server.items()
    } == {
        "replica 0": ("", at(6)),
        "late": ("unverified", at(3)),
    }
    assert "replica" in shared_aliases
    servers.group.reset()


def test_evaluate__the_first_server_is_promoted(servers: ProbedServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alias stays fit by its other server; the connections to the promoted server are shut down, once.

    The probe stays there, because the clients that read this server last may go on.
    """
    shut_down: list[tuple[str, ...]] = []
    monkeypatch.setattr(sockets, "shutdown", lambda *target: shut_down.append(target) or 0)
    discovered = servers.discover_server()
    servers.owner_answers(5)
    servers.replica_answers(at(5))
    other = ServerStatus("other", is_standby=True, writable=False, position=at(4))
    discovered.last_sample = Sample(servers.now, other)
    servers.watch.replicas[0].discovery._admitted |= {"replica 0", "other"}
    servers.evaluate()
    servers.watch.probe.error = PROBE_ERROR
    servers.replica_answers(at(5), is_standby=False)
    replicas = [servers.evaluate(1), servers.evaluate(1)]

    assert [(each.unfit_reason, each.position) for each in replicas] == [("", at(4))] * 2
    by_server = servers.group.snapshot.by_server
    assert (by_server["replica 0"].unfit_reason, by_server["other"].unfit_reason) == ("promoted", "")
    assert shut_down == [("replica", "replica 0"), ("default",)]
    assert not servers.replica_probe(0)._reconnects
    servers.group.reset()


def test_evaluate__a_query_failed_on_one_of_two_servers(servers: ProbedServers) -> None:
    """Only this server is down, until its next answer; the alias stays fit by the other one."""
    discovered = servers.discover_server()
    servers.watch.replicas[0].discovery._admitted |= {"replica 0", "other"}
    other = ServerStatus("other", is_standby=True, writable=False, position=at(5))
    servers.owner_answers(5)
    servers.replica_answers(at(5))
    discovered.last_sample = Sample(servers.now, other)
    servers.watch.replicas[0].reported_failures["replica 0"] = (servers.now, "down")
    alias = servers.evaluate(0.1)
    reasons = {server: each.unfit_reason for server, each in servers.group.snapshot.by_server.items()}
    servers.replica_answers(at(5))
    servers.evaluate()
    later = {server: each.unfit_reason for server, each in servers.group.snapshot.by_server.items()}

    assert alias.fit
    assert reasons == {"replica 0": "down", "other": ""}
    assert later == {"replica 0": "", "other": ""}
    servers.group.reset()


def test_evaluate__a_discovered_server_hangs(servers: ProbedServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the connections to this server are shut down, once; the alias stays fit."""
    shut_down: list[tuple[str, ...]] = []
    monkeypatch.setattr(sockets, "shutdown", lambda *target: shut_down.append(target) or 0)
    discovered = servers.discover_server()
    servers.replica_answers(at(5))
    discovered.last_sample = Sample(servers.now, ServerStatus("late", is_standby=True, writable=False, position=at(5)))
    servers.evaluate()
    discovered._began_at = servers.now
    fit = [servers.evaluate(1).fit, servers.evaluate(1).fit]

    assert fit == [True, True]
    assert servers.group.snapshot.by_server["late"].unfit_reason == "down"
    assert shut_down == [("replica", "late")]
    servers.group.reset()
