"""Evaluations of owners, from statuses that a test sets."""

import logging

import pytest
from tests.support.probed_servers import PROBE_ERROR, ProbedServers
from tests.support.published import at

from switchyard.routing.monitor.watch import OWNER_TIMEOUT_SECONDS


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


def test_unavailable_reason__a_pending_probe(servers: ProbedServers) -> None:
    """The owner is down only after its probe is pending for longer than the timeout."""
    servers.owner_answers(5)
    servers.watch.probe._began_at = servers.now
    servers.evaluate(OWNER_TIMEOUT_SECONDS - 0.1)
    before = servers.group.snapshot.unavailable_reason
    servers.evaluate(0.2)

    assert (before, servers.group.snapshot.unavailable_reason) == ("", "down")


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
