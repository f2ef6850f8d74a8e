"""Simulated lag of replicas that are the database of their owner. project/shop/tests.py tests it in a project."""

import pytest

from accounts.models import User
from switchyard import testing
from switchyard.routing.connections.calls import Call
from switchyard.routing.monitor.waits import waits_for
from switchyard.routing.selection.select import decide
from switchyard.routing.session.context import current, is_process_context
from switchyard.routing.topology.replication import replication_set
from switchyard.sql.classifier import classify
from switchyard.testing import ReplicaLag
from switchyard.testing.fixtures import _fresh_routing_context, replica_lag

__all__ = ["_fresh_routing_context", "replica_lag"]  # fixtures

WRITE = classify("UPDATE accounts_user SET email = ''", "sqlite")


def read_from() -> str:
    return decide(User).alias


def test_replica_lag__pause_and_catch_up(replica_lag: ReplicaLag) -> None:
    """The client reads the owner after its write, until the replica catches up."""
    replica_lag.pause()
    before = read_from()
    with Call(waits_for("default"), "sqlite", WRITE, "", None):
        pass
    paused = read_from()
    replica_lag.catch_up()

    assert (before, paused, read_from()) == ("replica", "default", "replica")


def test_replica_lag__after_the_block() -> None:
    """After the block the replicas are free of lag again, and the writes of the block require no position."""
    group = replication_set("default")
    with testing.replica_lag() as lag:
        lag.pause()
        with Call(waits_for("default"), "sqlite", WRITE, "", None):
            pass

    assert group.snapshot.lag_free
    assert group.snapshot.owner_sample is None
    assert not current().consistency.required


def test_fresh_routing_context__in_a_test() -> None:
    """Each test has a routing context of its own."""
    assert not is_process_context(current())


def test_replica_lag__alias_of_an_owner(replica_lag: ReplicaLag) -> None:
    """Only a replica can lag."""
    with pytest.raises(ValueError, match="'analytics' is no replica"):
        replica_lag.delay(1, "analytics")
