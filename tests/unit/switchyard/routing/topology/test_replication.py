"""The snapshot of an owner and its replicas."""

import pytest
from django.db import connections
from django.test import override_settings
from tests.support.published import at, lagging, replayed, sampled

from accounts.models import User
from switchyard.routing.selection.select import decide
from switchyard.routing.session.context import activate, request_context, task_context
from switchyard.routing.topology.replication import (
    SHARES_CONNECTION_OF,
    Replica,
    ReplicationSet,
    replication_set,
    supports_positions,
)


def test_replication_set__before_the_first_probe() -> None:
    """Every replica is fit, so that commands can read it, and none is known to have replayed anything."""
    group = replication_set("default")

    assert group.snapshot.eligible == group.snapshot.replicas == (Replica("replica"),)
    assert (group.snapshot.owner_sample, group.snapshot.unavailable_reason) == (None, "")
    assert not group.snapshot.all_caught_up(at(0))


def test_replication_set__one_for_each_owner() -> None:
    """An owner keeps its replication set until the settings change."""
    before = replication_set("default")
    assert replication_set("default") is before
    with override_settings(SWITCHYARD={"OWNERS": {"*": "default"}}):
        assert replication_set("default").snapshot.replicas == ()

    assert replication_set("default") is not before


def test_replace_snapshot__least_lag_first() -> None:
    """The eligible replicas are in the order of their lag, in each new snapshot."""
    with lagging("replica", "legacy", "analytics") as group:
        for _ in range(3):
            group.replace_snapshot(
                [Replica("replica", "", at(1), 2.0), Replica("legacy", "down"), Replica("analytics", "", at(1))]
            )

            assert [each.alias for each in group.snapshot.eligible] == ["analytics", "replica"]


def test_replace_snapshot__equal_lag() -> None:
    """Replicas with equal lag are preferred in turn, in the order of REPLICAS; a replica with more lag never is."""
    with lagging("replica", "legacy", "analytics") as group:
        preferred = [group.snapshot.eligible[0].alias]
        for _ in range(6):
            group.replace_snapshot([Replica("replica"), Replica("legacy"), Replica("analytics", lag_seconds=1.0)])
            preferred.append(group.snapshot.eligible[0].alias)

    assert preferred[0] == "replica"
    assert {alias: preferred.count(alias) for alias in preferred} == {"replica": 4, "legacy": 3}


@pytest.mark.parametrize("preference", [None, "replica"])
def test_begin_client__replicas_without_a_monitor(preference: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests and tasks take the replicas on SQLite in turn, and each stays on its replica."""
    monkeypatch.delitem(connections.settings["replica"], SHARES_CONNECTION_OF, raising=False)
    seen = []
    with override_settings(SWITCHYARD={"OWNERS": {"*": "default"}, "REPLICAS": {"default": ["replica", "legacy"]}}):
        for context in (request_context, task_context, request_context, task_context):
            with activate(context().derive(preference=preference)):
                seen.append({decide(User).alias for _ in range(3)})

    assert seen in ([{"replica"}, {"legacy"}] * 2, [{"legacy"}, {"replica"}] * 2)


def test_begin_client__mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mirrors of a test stay in the order of REPLICAS."""
    for alias in ("replica", "legacy"):
        monkeypatch.setitem(connections.settings[alias], SHARES_CONNECTION_OF, "default")
    with override_settings(SWITCHYARD={"OWNERS": {"*": "default"}, "REPLICAS": {"default": ["replica", "legacy"]}}):
        seen = [request_context() and replication_set("default").snapshot.eligible[0].alias for _ in range(3)]

    assert seen == ["replica"] * 3


@pytest.mark.parametrize(("replica", "legacy", "caught_up"), [(5, 5, True), (5, 4, False), (9, 5, True), (4, 4, False)])
def test_all_caught_up__every_replica(*, replica: int, legacy: int, caught_up: bool) -> None:
    """An unfit replica must catch up too, because it may be read later."""
    with lagging("replica", "legacy") as group:
        replayed(group, replica=replica, legacy=legacy, unfit=("legacy",))

        assert group.snapshot.all_caught_up(at(5)) is caught_up


def test_all_caught_up__replica_without_an_answer() -> None:
    """A replica that never answered is not known to have replayed anything."""
    with lagging("replica", "legacy") as group:
        group.replace_snapshot([Replica("replica", "", at(5)), Replica("legacy", "down")])

        assert not group.snapshot.all_caught_up(at(5))


def test_reset__after_a_snapshot() -> None:
    """Nothing is known afterwards, and every replica is fit."""
    with lagging("replica") as group:
        replayed(group, replica=5, unfit=("replica",))
        sampled(group, 5)
        group.replace_snapshot(unavailable_reason="down")
        group.reset()

        assert group.snapshot.eligible == (Replica("replica"),)
        assert (group.snapshot.owner_sample, group.snapshot.unavailable_reason) == (None, "")


def test_supports_positions__sqlite_file() -> None:
    """SQLite has no positions: the replica reads the file of its owner, without lag."""
    assert not supports_positions("default")
    assert ReplicationSet("default").snapshot.lag_free
