"""The routing decision and the router, compared with the reference rules in random states."""

from itertools import pairwise
from typing import Any, NamedTuple

from django.contrib.sessions.models import Session
from django.db.models import Model
from hypothesis import given
from hypothesis import strategies as st
from tests.support.published import at, lagging, sampled
from tests.support.reference_rules import REFERENCE, ReadRequest
from tests.support.transactions import transaction

from accounts.models import User
from switchyard.positions import Position
from switchyard.routing import PrimaryReplicaRouter
from switchyard.routing.decision import decision
from switchyard.routing.selection.select import decide
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition
from switchyard.routing.session.context import RoutingContext, activate, current
from switchyard.routing.session.tracking import record_read
from switchyard.routing.topology.replication import Replica, ReplicationSet, replication_set

REPLICAS = ("replica", "legacy")


class Case(NamedTuple):
    """Everything that a decision depends on."""

    replicas: tuple[Replica, ...]
    lag_free: bool
    transaction: str
    preference: Any
    read_only_alias: str
    unsafe_method: bool
    in_request: bool
    required: Position | float | None  # a number is the time of a write at an unknown position
    last_replica: str
    owner_lsn: int | None
    hints: str
    model: type[Model]


def replica_states(alias: str) -> st.SearchStrategy[Replica]:
    """Return a strategy for the published state of the replica."""
    return st.builds(
        Replica,
        st.just(alias),
        st.sampled_from(["", "", "down", "lagging"]),
        st.one_of(st.none(), st.integers(1, 4).map(at)),
        st.sampled_from([0.0, 0.5]),
    )


def loaded(alias: str | None) -> User:
    """Return an instance as Django makes it from a row that it read from the alias."""
    instance = User(pk=1)
    instance._state.db = alias
    return instance


cases = st.builds(
    Case,
    st.one_of(st.tuples(replica_states("replica")), st.tuples(replica_states("replica"), replica_states("legacy"))),
    st.sampled_from([False, False, True]),
    st.sampled_from(["none", "none", "testcase", "own", "own in testcase", "closed", "begun"]),
    st.sampled_from(["", "", "primary", "replica"]),
    st.sampled_from(["", "", "", "default", "replica"]),
    st.booleans(),
    st.booleans(),
    st.one_of(st.none(), st.integers(1, 5).map(at), st.sampled_from([0.0, 20.0])),
    st.sampled_from(["", "replica", "legacy"]),
    st.one_of(st.none(), st.integers(1, 5)),
    st.sampled_from(["-", "-", "{}", "owner", "replica", "none", "analytics"]),
    st.sampled_from([User, User, Session]),
)
HINTS: dict[str, dict[str, Any] | None] = {
    "-": None,
    "{}": {},
    "owner": {"instance": loaded("default")},
    "replica": {"instance": loaded("replica")},
    "none": {"instance": None},
    "analytics": {"instance": loaded("analytics")},
}


def instance_in(hints: dict[str, Any] | None) -> Model | None:
    return hints.get("instance") if hints else None


def context_of(case: Case) -> RoutingContext:
    """Return a context with a consistency state of its own."""
    consistency = ConsistencyState()
    if isinstance(case.required, float):
        consistency.required["default"] = PendingPosition(case.required)
    elif case.required is not None:
        consistency.required["default"] = case.required
    if case.last_replica in {replica.alias for replica in case.replicas}:
        consistency.last_replica["default"] = case.last_replica
    return RoutingContext(
        consistency,
        in_request=case.in_request,
        unsafe_method=case.unsafe_method,
        preference=case.preference,
        read_only_aliases={"default": case.read_only_alias} if case.read_only_alias else {},
    )


def requirement(consistency: ConsistencyState) -> tuple[Any, Any]:
    """Return the required position and the last replica; `pending` stands for any pending position."""
    required = consistency.required.get("default")
    return ("pending" if type(required) is PendingPosition else required), consistency.last_replica.get("default")


def decided_by_reference(model: type[Model], instance: Model | None) -> tuple[str, str]:
    """Return the alias and the name of the first reference rule that decides the read."""
    read = ReadRequest(model, "default", instance, current(), replication_set("default"))
    return next((alias, rule) for rule, choose in REFERENCE.items() if (alias := choose(read)) is not None)


@given(st.lists(cases, min_size=20, max_size=20))
def test_decide__as_the_reference_rules(many: list[Case]) -> None:
    """In every state the first reference rule that decides gives the decision, and the same position is required."""
    for amount in (1, 2):
        with lagging(*REPLICAS[:amount]) as group:
            for case in (each for each in many if len(each.replicas) == amount):
                compare_with_reference(case, group)


def compare_with_reference(case: Case, group: ReplicationSet) -> None:
    group.replace_snapshot(case.replicas)
    group.replace_snapshot(lag_free=case.lag_free, owner_sample=None)
    if case.owner_lsn is not None:
        sampled(group, case.owner_lsn, 10.0)
    instance = instance_in(HINTS[case.hints])
    by_reference, by_decide = context_of(case), context_of(case)
    with transaction(case.transaction):
        with activate(by_reference):
            expected = decided_by_reference(case.model, instance)
        with activate(by_decide):
            found = decide(case.model, instance)
            record_read(found.alias)

    assert (found.alias, found.rule) == expected, case
    assert found is decision(*expected)
    # By these two rules the owner is read in place of a replica.
    if found.rule == "pinned" or (found.rule == "down" and not case.lag_free):
        assert requirement(by_decide.consistency) == ("pending", None), case
    else:
        required, last_replica = requirement(by_reference.consistency)
        chosen = found.alias if found.rule == "replica" and len(case.replicas) > 1 else last_replica
        assert requirement(by_decide.consistency) == (required, chosen), case


@given(st.lists(cases, min_size=21, max_size=21))
def test_db_for_read__as_decide(many: list[Case]) -> None:
    """The router decides as decide() does: at first, again, with a new snapshot, and with a new required position."""
    for amount in (1, 2):
        with lagging(*REPLICAS[:amount]) as group:
            some = [each for each in many if len(each.replicas) == amount]
            for case, later in pairwise(some):
                compare_with_decide(case, later, group)


def compare_with_decide(case: Case, later: Case, group: ReplicationSet) -> None:
    group.replace_snapshot(lag_free=case.lag_free, owner_sample=None)
    hints = HINTS[case.hints]
    by_decide, by_router = contexts = context_of(case), context_of(case)
    with transaction(case.transaction):
        for replicas in (case.replicas, later.replicas, None):
            if replicas is not None:
                group.replace_snapshot(replicas)
            else:
                for each in contexts:
                    each.consistency.require("default", at(3))
            for _ in range(2):
                with activate(by_decide):
                    chosen = decide(case.model, instance_in(hints))
                with activate(by_router):
                    alias = PrimaryReplicaRouter().db_for_read(case.model, **(hints or {}))

                # None leaves the read to the next router or to Django, which choose the same alias.
                assert alias == chosen.alias or (alias is None and chosen.rule in {"owner", "down"}), (case, later)
                assert requirement(by_decide.consistency) == requirement(by_router.consistency)
