"""decide() and select(): the rules of a read one by one."""

from itertools import product
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db.models import Model
from tests.support.published import at, consistency_from, lagging, replayed, sampled

from accounts.models import User
from switchyard.routing import PrimaryReplicaRouter, use_primary, use_replica
from switchyard.routing.decision import decision
from switchyard.routing.selection.rules import RULES
from switchyard.routing.selection.select import decide
from switchyard.routing.session import context
from switchyard.routing.session.consistency import ConsistencyState
from switchyard.routing.session.context import RoutingContext, activate, current, is_process_context
from switchyard.routing.session.tracking import record_read
from switchyard.routing.topology.replication import Replica, replication_set

BOTH = ("replica", "legacy")


def decided(model: type[Model] = User) -> tuple[str, str]:
    """Return the alias and the rule of a read's decision; the read shows rows."""
    chosen = decide(model)
    record_read(chosen.alias)
    return chosen.alias, chosen.rule


def test_cached__until_another_position_is_required() -> None:
    """A caught-up replica is compared again once another position is required."""
    with (
        lagging("replica") as group,
        activate(context.request_context(consistency=consistency_from({"default": at(4)}))) as request,
    ):
        replayed(group, replica=5)
        assert [PrimaryReplicaRouter().db_for_read(User) for _ in range(2)] == ["replica", "replica"]
        request.consistency.require("default", at(6))
        assert PrimaryReplicaRouter().db_for_read(User) == "default"


def test_cached__the_replica_read_last() -> None:
    """A client stays on its last replica, from the cache, though another replica is preferred by now."""
    with (
        lagging(*BOTH) as group,
        activate(context.request_context(consistency=consistency_from({}, {"default": "legacy"}))) as request,
    ):
        replayed(group, replica=5, legacy=5)
        read = [PrimaryReplicaRouter().db_for_read(User) for _ in range(2)]
        cached = request.consistency.cached
        replayed(group, replica=5, legacy=5, unfit=("legacy",))
        after_loss = decide(User).alias

    assert read == ["legacy", "legacy"]
    assert cached.decision is decision("legacy", "replica")
    assert after_loss == "default"


def test_remember__another_position_is_required() -> None:
    """A comparison with an earlier required position is not cached."""
    with lagging("replica") as group:
        replayed(group, replica=5)
        assert group.snapshot.preferred
        request = context.request_context(consistency=consistency_from({"default": at(6)}))
        request.consistency.remember("default", at(4), group.snapshot.preferred)
        assert request.consistency.cached.generation is not group.snapshot.generation


def test_decision__is_one_object() -> None:
    """Each pair of alias and rule is one object, because decisions are counted by identity."""
    assert decision("replica", "replica") is decision("replica", "replica")
    with activate(context.request_context()):
        assert decide(User) is decide(User) is decision("replica", "replica")
    assert repr(decision("replica", "replica")) == "Decision('replica', 'replica')"


def test_rules__names() -> None:
    """The names are label values of dashboards and alerts, in the order in which the rules decide."""
    assert [rule.name for rule in RULES] == [
        "owner", "primary_only", "override", "loaded_from_owner", "in_transaction", "unsafe_method",
        "pinned", "replica", "down",
    ]  # fmt: skip


def test_decide__a_required_position() -> None:
    """The owner is read until a replica has caught up to the required position, and this replica afterwards."""
    with lagging("replica") as group:
        replayed(group, replica=4)
        with activate(context.request_context(consistency=consistency_from({"default": at(5)}))):
            assert decided() == ("default", "pinned")
        replayed(group, replica=5)
        with activate(context.request_context(consistency=consistency_from({"default": at(5)}))):
            assert decided() == ("replica", "replica")


def test_decide__use_replica_while_pinned() -> None:
    """use_replica() reads a replica that has not caught up; the other reads stay on the owner."""
    with (
        lagging("replica") as group,
        activate(context.request_context(consistency=consistency_from({"default": at(5)}))),
    ):
        replayed(group, replica=4)
        with use_replica():
            assert decided() == ("replica", "override")
        assert decided() == ("default", "pinned")


def test_decide__use_replica_without_a_fit_replica() -> None:
    """The owner is read."""
    with lagging("replica") as group, use_replica():
        replayed(group, replica=4, unfit=("replica",))

        assert decided() == ("default", "override")


def test_decide__after_a_fallback_to_the_owner() -> None:
    """No replica is read before it has caught up to a sample of the owner that began after the fallback."""
    with lagging("replica") as group, activate(context.request_context()):
        replayed(group, replica=4, unfit=("replica",))
        assert decided() == ("default", "down")
        replayed(group, replica=4)
        sampled(group, 6)
        assert decided() == ("default", "pinned")
        sampled(group, 7)
        replayed(group, replica=6)
        assert decided() == ("default", "pinned")
        replayed(group, replica=8)
        sampled(group, 8)
        assert decided() == ("replica", "replica")


def test_decide__a_process_that_wrote() -> None:
    """Pinned reads outside requests and tasks do not renew the pin, so the process returns to a replica."""
    with lagging("replica") as group:
        replayed(group, replica=4)
        process = current()
        assert is_process_context(process)
        try:
            process.consistency.require("default", at(5))
            assert decided() == ("default", "pinned")
            assert process.consistency.required["default"] == at(5)
            replayed(group, replica=5)
            assert decided() == ("replica", "replica")
        finally:
            process.consistency.required.clear()


def test_decide__one_of_two_replicas_caught_up() -> None:
    """The caught-up replica is read, though the other replica has less lag."""
    with (
        lagging(*BOTH) as group,
        activate(context.request_context(consistency=consistency_from({"default": at(5)}))),
    ):
        group.replace_snapshot([Replica("replica", "", at(4), 0.0), Replica("legacy", "", at(5), 3.0)])

        assert decided() == ("legacy", "replica")


def test_decide__stays_on_its_replica() -> None:
    """A client stays on its replica: another replica, though preferred by now, may be behind the earlier read."""
    with lagging(*BOTH) as group, activate(context.request_context()):
        group.replace_snapshot([Replica("replica", "", at(4), 0.0), Replica("legacy", "", at(4), 1.0)])
        assert decided() == ("replica", "replica")
        group.replace_snapshot([Replica("replica", "", at(4), 9.0), Replica("legacy", "", at(5), 0.0)])
        assert decided() == ("replica", "replica")
    with lagging(*BOTH) as group, activate(context.request_context()):
        group.replace_snapshot([Replica("replica", "", at(4), 9.0), Replica("legacy", "", at(5), 0.0)])
        assert decided() == ("legacy", "replica")


def test_decide__its_replica_is_lost() -> None:
    """The owner, which includes all earlier reads, is read, and its position becomes required."""
    with lagging(*BOTH) as group, activate(context.request_context()) as request:
        replayed(group, replica=4, legacy=4)
        decided()
        replayed(group, replica=4, legacy=4, unfit=("replica",))

        assert decided() == ("default", "down")
        assert "default" not in request.consistency.last_replica
        assert "default" in request.consistency.required


def test_decide__changed_settings() -> None:
    """The route of a model is looked up again."""
    with activate(context.request_context()):
        assert decided() == ("replica", "replica")
        with lagging():
            assert decided() == ("default", "owner")
        assert decided() == ("replica", "replica")


@pytest.mark.parametrize(("preference", "unsafe_method"), list(product(["", "primary", "replica"], [False, True])))
def test_decide__primary_only(preference: Any, *, unsafe_method: bool) -> None:
    """Rows that must never be stale are read from their owner in every context."""
    with activate(RoutingContext(ConsistencyState(), preference=preference, unsafe_method=unsafe_method)):
        assert decided(Session) == ("default", "primary_only")


def test_decide__lag_free_replicas() -> None:
    """Lag-free replicas show every row at once: no position is required, not even after a fallback."""
    group = replication_set("default")
    assert group.snapshot.lag_free
    with activate(context.request_context()) as request:
        group.replace_snapshot([Replica("replica", "down")])
        try:
            assert decided() == ("default", "down")
        finally:
            group.replace_snapshot([Replica("replica")])
        assert decided() == ("replica", "replica")
        assert not request.consistency.required


def test_use_primary__inside_use_replica() -> None:
    """The inner block decides."""
    with use_replica():
        with use_primary():
            assert decided() == ("default", "override")
        assert decided() == ("replica", "override")
