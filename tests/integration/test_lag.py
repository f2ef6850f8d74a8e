"""Lag on demand of a real standby and a MySQL replica, with `replica_lag()` as a project calls it."""

from collections.abc import Iterator

import pytest
from django.db import connections
from tests.support.replicated_row import NEW, OLD, ReplicatedRow, both_vendors, row
from tests.support.servers import Servers
from tests.support.vendors import ROOT_PASSWORD

from switchyard.routing import without_stickiness
from switchyard.routing.monitor import monitor
from switchyard.testing import assert_queries, replica_lag

pytestmark = pytest.mark.docker

__all__ = ["both_vendors", "row"]  # fixtures

ADMINS = {"postgresql": "postgres", "mysql": "root"}


@pytest.fixture
def by_admin(row: ReplicatedRow) -> Iterator[ReplicatedRow]:
    """The row, with connections of a user who may pause the replica."""
    for alias in (row.owner, row.replica):
        entry = connections.settings[alias]
        entry["USER"], entry["PASSWORD"] = ADMINS[connections[alias].vendor], ROOT_PASSWORD
        connections[alias].close()
        row.objects.using(alias).exists()  # Django sends its first queries about MySQL itself
    yield row
    assert not monitor.running()


def test_pause__until_it_catches_up(by_admin: ReplicatedRow) -> None:
    """Without requirement the old row is read, after a write the owner, and after the replay the replica."""
    with replica_lag() as lag:
        lag.pause(by_admin.replica)
        with without_stickiness():
            by_admin.objects.update(email=NEW)
        with assert_queries(**{by_admin.replica: 1}):
            assert by_admin.email() == OLD
        by_admin.objects.update(email=NEW)
        with assert_queries(**{by_admin.owner: 1}):
            assert by_admin.email() == NEW
        lag.catch_up(by_admin.replica)
        with assert_queries(**{by_admin.replica: 1}):
            assert by_admin.email() == NEW


def test_delay__ends_with_the_block(both_vendors: Servers, by_admin: ReplicatedRow) -> None:
    """A row written in the block is not on the replica in the block, and is there after it."""
    with replica_lag() as lag:
        lag.delay(3600, by_admin.replica)
        by_admin.objects.update(email=NEW)
        assert by_admin.objects.using(by_admin.replica).get().email == OLD

    assert by_admin.objects.using(by_admin.replica).get().email == NEW


def test_pause__by_a_user_who_may_not(row: ReplicatedRow) -> None:
    """The error names the missing privilege, and nothing lags."""
    with replica_lag() as lag, pytest.raises(PermissionError, match=r"user 'app' lacks (EXECUTE|REPLICATION)"):
        lag.pause(row.replica)

    assert not monitor.running()


def test_delay__parts_of_a_second(by_admin: ReplicatedRow) -> None:
    """PostgreSQL takes a fraction of a second; MySQL refuses it with an error."""
    with replica_lag() as lag:
        if by_admin.owner == "default":
            lag.delay(0.25, by_admin.replica)
        else:
            with pytest.raises(ValueError, match="whole seconds"):
                lag.delay(0.25, by_admin.replica)
