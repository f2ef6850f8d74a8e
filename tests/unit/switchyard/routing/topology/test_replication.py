"""What is published about servers."""

import pytest
from django.test import override_settings
from tests.support.published import at, lagging, replayed, sampled

from switchyard.routing.topology.replication import Replica, ReplicationSet, keeps_positions, set_of


def test_set_of__before_anybody_asked() -> None:
    """Every replica is fit, so that commands read it, and none is known to have replayed anything."""
    group = set_of("default")

    assert group.fit == group.replicas == (Replica("replica"),)
    assert (group.sample, group.refusal) == (None, "")
    assert not group.passed(at(0))


def test_set_of__is_one() -> None:
    """An owner has one set, until the settings change."""
    before = set_of("default")
    assert set_of("default") is before
    with override_settings(SWITCHYARD={"OWNERS": {"*": "default"}}):
        assert set_of("default").replicas == ()

    assert set_of("default") is not before


def test_publish__the_best_first() -> None:
    """The fit ones stand in the order of their lag, however often they are published."""
    with lagging("replica", "legacy", "analytics") as group:
        for _ in range(3):
            group.publish(
                [Replica("replica", "", at(1), 2.0), Replica("legacy", "down"), Replica("analytics", "", at(1))]
            )

            assert [each.alias for each in group.fit] == ["analytics", "replica"]


def test_publish__equals_in_turn() -> None:
    """Those that lag alike are the best in turn, beginning with the first of REPLICAS; one that lags more never is."""
    with lagging("replica", "legacy", "analytics") as group:
        best = [group.fit[0].alias]
        for _ in range(6):
            group.publish([Replica("replica"), Replica("legacy"), Replica("analytics", lag_seconds=1.0)])
            best.append(group.fit[0].alias)

    assert best[0] == "replica"
    assert {alias: best.count(alias) for alias in best} == {"replica": 4, "legacy": 3}


@pytest.mark.parametrize(("replica", "legacy", "passed"), [(5, 5, True), (5, 4, False), (9, 5, True), (4, 4, False)])
def test_passed__by_every_replica(*, replica: int, legacy: int, passed: bool) -> None:
    """One that is behind, unfit or not, may be read later: it has to come as far."""
    with lagging("replica", "legacy") as group:
        replayed(group, replica=replica, legacy=legacy, unfit=("legacy",))

        assert group.passed(at(5)) is passed


def test_passed__a_replica_that_never_answered() -> None:
    """It is not known to have replayed anything."""
    with lagging("replica", "legacy") as group:
        group.publish([Replica("replica", "", at(5)), Replica("legacy", "down")])

        assert not group.passed(at(5))


def test_forget__everything() -> None:
    """Nothing is known any more, and every replica is fit."""
    with lagging("replica") as group:
        replayed(group, replica=5, unfit=("replica",))
        sampled(group, 5)
        group.refusal = "down"
        group.forget()

        assert group.fit == (Replica("replica"),)
        assert (group.sample, group.refusal) == (None, "")


def test_keeps_positions__a_file() -> None:
    """The replica of a SQLite file is the file: it is in step."""
    assert not keeps_positions("default")
    assert ReplicationSet("default").in_step
