"""Lag on demand of replicas that are their owner's database. What a project sees is said by project/shop/tests.py."""

import pytest

from accounts.models import User
from switchyard.routing.connections.calls import Call
from switchyard.routing.selection.select import decide
from switchyard.routing.session.context import current, is_process_context
from switchyard.routing.topology.replication import replication_set
from switchyard.sql.classifier import classify
from switchyard.testing import ReplicaLag
from switchyard.testing.fixtures import _fresh_routing_state, replica_lag

__all__ = ["_fresh_routing_state", "replica_lag"]  # fixtures

WRITE = classify("UPDATE accounts_user SET email = ''", "sqlite")


def read_from() -> str:
    return decide(User).alias


def test_fixture__pause_and_catch_up(replica_lag: ReplicaLag) -> None:
    """What was written is read from the owner until the replica catches up."""
    replica_lag.pause()
    before = read_from()
    with Call("default", "sqlite", WRITE):
        pass
    paused = read_from()
    replica_lag.catch_up()

    assert (before, paused, read_from()) == ("replica", "default", "replica")


def test_fixture__leaves_nothing() -> None:
    """After a test the replicas are in step again, and nothing is owed."""
    group = replication_set("default")

    assert group.snapshot.lag_free
    assert group.snapshot.owner_sample is None
    assert not current().consistency.required


def test_fixture__fresh_routing_state() -> None:
    """Each test has a frame of its own."""
    assert not is_process_context(current())


def test_replica_lag__no_replica(replica_lag: ReplicaLag) -> None:
    """Only a replica can lag."""
    with pytest.raises(ValueError, match="'analytics' is no replica"):
        replica_lag.delay(1, "analytics")
