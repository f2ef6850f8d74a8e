"""What is published about servers."""

import pytest
from django.test import override_settings
from tests.support.published import at, lagging, replayed, sampled

from switchyard.routing.topology.replication import Replica, ReplicationSet, replication_set, supports_positions


def test_set_of__before_anybody_asked() -> None:
    """Every replica is fit, so that commands read it, and none is known to have replayed anything."""
    group = replication_set("default")

    assert group.snapshot.eligible == group.snapshot.replicas == (Replica("replica"),)
    assert (group.snapshot.owner_sample, group.snapshot.unavailable_reason) == (None, "")
    assert not group.snapshot.all_caught_up(at(0))


def test_set_of__is_one() -> None:
    """An owner has one set, until the settings change."""
    before = replication_set("default")
    assert replication_set("default") is before
    with override_settings(SWITCHYARD={"OWNERS": {"*": "default"}}):
        assert replication_set("default").snapshot.replicas == ()

    assert replication_set("default") is not before


def test_publish__the_best_first() -> None:
    """The fit ones stand in the order of their lag, however often they are published."""
    with lagging("replica", "legacy", "analytics") as group:
        for _ in range(3):
            group.replace_snapshot(
                [Replica("replica", "", at(1), 2.0), Replica("legacy", "down"), Replica("analytics", "", at(1))]
            )

            assert [each.alias for each in group.snapshot.eligible] == ["analytics", "replica"]


def test_publish__equals_in_turn() -> None:
    """Those that lag alike are the best in turn, beginning with the first of REPLICAS; one that lags more never is."""
    with lagging("replica", "legacy", "analytics") as group:
        best = [group.snapshot.eligible[0].alias]
        for _ in range(6):
            group.replace_snapshot([Replica("replica"), Replica("legacy"), Replica("analytics", lag_seconds=1.0)])
            best.append(group.snapshot.eligible[0].alias)

    assert best[0] == "replica"
    assert {alias: best.count(alias) for alias in best} == {"replica": 4, "legacy": 3}


@pytest.mark.parametrize(("replica", "legacy", "passed"), [(5, 5, True), (5, 4, False), (9, 5, True), (4, 4, False)])
def test_passed__by_every_replica(*, replica: int, legacy: int, passed: bool) -> None:
    """One that is behind, unfit or not, may be read later: it has to come as far."""
    with lagging("replica", "legacy") as group:
        replayed(group, replica=replica, legacy=legacy, unfit=("legacy",))

        assert group.snapshot.all_caught_up(at(5)) is passed


def test_passed__a_replica_that_never_answered() -> None:
    """It is not known to have replayed anything."""
    with lagging("replica", "legacy") as group:
        group.replace_snapshot([Replica("replica", "", at(5)), Replica("legacy", "down")])

        assert not group.snapshot.all_caught_up(at(5))


def test_forget__everything() -> None:
    """Nothing is known any more, and every replica is fit."""
    with lagging("replica") as group:
        replayed(group, replica=5, unfit=("replica",))
        sampled(group, 5)
        group.replace_snapshot(unavailable_reason="down")
        group.reset()

        assert group.snapshot.eligible == (Replica("replica"),)
        assert (group.snapshot.owner_sample, group.snapshot.unavailable_reason) == (None, "")


def test_keeps_positions__a_file() -> None:
    """The replica of a SQLite file is the file: it is in step."""
    assert not supports_positions("default")
    assert ReplicationSet("default").snapshot.lag_free
