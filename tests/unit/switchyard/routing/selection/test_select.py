"""Decisions: the rules one by one, and the fast path, which decides as they do in every state."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise, product
from typing import Any, NamedTuple

import pytest
from django.contrib.sessions.models import Session
from django.db import connections
from django.db.models import Model
from django.db.transaction import Atomic
from hypothesis import given
from hypothesis import strategies as st
from tests.support.published import at, lagging, replayed, sampled
from tests.support.reference_rules import REFERENCE, ReadRequest

from accounts.models import User
from switchyard.positions import Position
from switchyard.routing import PrimaryReplicaRouter, use_primary, use_replica
from switchyard.routing.connection_state import program_transaction_on, transaction_begins, transaction_ended
from switchyard.routing.decision import decision
from switchyard.routing.selection.rules import RULES
from switchyard.routing.selection.select import decide, fallback_alias
from switchyard.routing.session import context
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition, consistency_from
from switchyard.routing.session.context import (
    RoutingContext,
    activate,
    current,
    is_process_context,
)
from switchyard.routing.topology.replication import Replica, ReplicationSet, replication_set

BOTH = ("replica", "legacy")


@contextmanager
def transaction(kind: str) -> Iterator[None]:
    """Let the connection of `default` look as it does in the transaction, without its BEGIN."""
    connection = connections["default"]
    before = connection.in_atomic_block, connection.atomic_blocks, connection.autocommit, connection.connection
    atomics = []
    for from_testcase in {"testcase": [True], "own": [False], "own in testcase": [True, False]}.get(kind, []):
        atomic = Atomic("default", savepoint=True, durable=False)
        atomic._from_testcase = from_testcase
        atomics.append(atomic)
    connection.in_atomic_block, connection.atomic_blocks = bool(atomics), atomics
    connection.autocommit = kind == "none"
    connection.connection = None if kind == "closed" else object()
    transaction_begins(connection)
    try:
        yield
    finally:
        transaction_ended(connection)
        connection.in_atomic_block, connection.atomic_blocks, connection.autocommit, connection.connection = before


def loaded(alias: str | None) -> User:
    """Return an instance as Django makes it of a row that it read from the alias."""
    instance = User(pk=1)
    instance._state.db = alias
    return instance


def ruled(model: type[Model], instance: Model | None) -> tuple[str, str]:
    """Return what the first rule with an answer says."""
    read = ReadRequest(model, "default", instance, current(), replication_set("default"))
    return next((alias, rule) for rule, choose in REFERENCE.items() if (alias := choose(read)) is not None)


def instance_in(hints: dict[str, Any] | None) -> Model | None:
    return hints.get("instance") if hints else None


def decided(model: type[Model] = User, **hints: Any) -> tuple[str, str]:
    chosen = decide(model, instance_in(hints))
    return chosen.alias, chosen.rule


class Case(NamedTuple):
    """All that a decision depends on."""

    replicas: tuple[Replica, ...]
    in_step: bool
    transaction: str
    prefers: Any
    held: str
    unsafe: bool
    in_request: bool
    owed: Position | float | None  # a time stands for what has no position yet
    last: str
    sample: int | None
    hints: str
    model: type[Model]


def fitness(alias: str) -> st.SearchStrategy[Replica]:
    return st.builds(
        Replica,
        st.just(alias),
        st.sampled_from(["", "", "down", "lagging"]),
        st.one_of(st.none(), st.integers(1, 4).map(at)),
        st.sampled_from([0.0, 0.5]),
    )


cases = st.builds(
    Case,
    st.one_of(st.tuples(fitness("replica")), st.tuples(fitness("replica"), fitness("legacy"))),
    st.sampled_from([False, False, True]),
    st.sampled_from(["none", "none", "testcase", "own", "own in testcase", "closed", "begun"]),
    st.sampled_from(["", "", "primary", "replica"]),
    st.sampled_from(["", "", "", "default", "replica"]),
    st.booleans(),
    st.booleans(),
    st.one_of(st.none(), st.integers(1, 5).map(at), st.sampled_from([0.0, 20.0])),
    st.sampled_from(["", "replica", "legacy"]),
    st.one_of(st.none(), st.integers(1, 5)),
    st.sampled_from(["-", "-", "{}", "owner", "replica", "none", "elsewhere"]),
    st.sampled_from([User, User, Session]),
)
HINTS: dict[str, dict[str, Any] | None] = {
    "-": None,
    "{}": {},
    "owner": {"instance": loaded("default")},
    "replica": {"instance": loaded("replica")},
    "none": {"instance": None},
    "elsewhere": {"instance": loaded("analytics")},
}


def framed(case: Case) -> RoutingContext:
    """Return a frame with a ledger of its own."""
    ledger = ConsistencyState()
    if case.owed is not None:
        ledger.required["default"] = PendingPosition(case.owed) if isinstance(case.owed, float) else case.owed
    if case.last in {each.alias for each in case.replicas}:
        ledger.last_replica["default"] = case.last
    held = {"default": case.held} if case.held else {}
    return RoutingContext(
        ledger, in_request=case.in_request, unsafe_method=case.unsafe, preference=case.prefers, read_only_aliases=held
    )


def left(ledger: ConsistencyState) -> tuple[Any, Any]:
    """Return what the ledger says, but for the time at which the owner was read."""
    owed = ledger.required.get("default")
    return ("unplaced" if type(owed) is PendingPosition else owed), ledger.last_replica.get("default")


@given(st.lists(cases, min_size=20, max_size=20))
def test_decide__as_the_rules_do(many: list[Case]) -> None:
    """In every state the answer is that of the first rule that has one, and the same is owed then."""
    for amount in (1, 2):
        with lagging(*BOTH[:amount]) as group:
            for case in (each for each in many if len(each.replicas) == amount):
                agree(case, group)


def agree(case: Case, group: ReplicationSet) -> None:
    group.replace_snapshot(case.replicas)
    group.replace_snapshot(lag_free=case.in_step, owner_sample=None)
    if case.sample is not None:
        sampled(group, case.sample, 10.0)
    hints = HINTS[case.hints]
    by_rules, fast = framed(case), framed(case)
    with transaction(case.transaction):
        with activate(by_rules):
            expected = ruled(case.model, instance_in(hints))
        with activate(fast):
            found = decide(case.model, instance_in(hints))

    assert (found.alias, found.rule) == expected, case
    assert found is decision(*expected)
    # By these two the owner was read in a replica's place.
    if found.rule == "pinned" or (found.rule == "down" and not case.in_step):
        assert left(fast.consistency) == ("unplaced", None), case
    else:
        owed, last = left(by_rules.consistency)
        chosen = found.alias if found.rule == "replica" and len(case.replicas) > 1 else last
        assert left(fast.consistency) == (owed, chosen), case


@given(st.lists(cases, min_size=21, max_size=21))
def test_db_for_read__as_decide_does(many: list[Case]) -> None:
    """The router's own short cut changes nothing: asked again, after more is known, after more is owed."""
    for amount in (1, 2):
        with lagging(*BOTH[:amount]) as group:
            some = [each for each in many if len(each.replicas) == amount]
            for case, later in pairwise(some):
                short_cut(case, later, group)


def short_cut(case: Case, later: Case, group: ReplicationSet) -> None:
    group.replace_snapshot(lag_free=case.in_step, owner_sample=None)
    hints = HINTS[case.hints]
    frames = framed(case), framed(case)
    with transaction(case.transaction):
        for replicas in (case.replicas, later.replicas, None):
            if replicas is not None:
                group.replace_snapshot(replicas)
            for frame in frames if replicas is None else ():
                frame.consistency.require("default", at(3))
            for _ in range(2):
                with activate(frames[0]):
                    chosen = decide(case.model, instance_in(hints))
                with activate(frames[1]):
                    alias = PrimaryReplicaRouter().db_for_read(case.model, **(hints or {}))

                # None leaves it to the next router, or to Django, which come to the same.
                assert alias == chosen.alias or (alias is None and chosen.rule in {"owner", "down"}), (case, later)
                assert left(frames[0].consistency) == left(frames[1].consistency)


def test_settled__until_more_is_owed() -> None:
    """A replica that had what was owed is looked at again when something else is."""
    with (
        lagging("replica") as group,
        activate(context.request_context(consistency=consistency_from({"default": at(4)}))) as frame,
    ):
        replayed(group, replica=5)
        assert [PrimaryReplicaRouter().db_for_read(User) for _ in range(2)] == ["replica", "replica"]
        frame.consistency.require("default", at(6))
        assert PrimaryReplicaRouter().db_for_read(User) == "default"


def test_settled__the_replica_read_last() -> None:
    """A client stays on the replica that it has read, though another one is the best by now, at no more cost."""
    with (
        lagging(*BOTH) as group,
        activate(context.request_context(consistency=consistency_from({}, {"default": "legacy"}))) as frame,
    ):
        replayed(group, replica=5, legacy=5)
        read = [PrimaryReplicaRouter().db_for_read(User) for _ in range(2)]
        settled = frame.consistency.cached
        replayed(group, replica=5, legacy=5, unfit=("legacy",))
        lost = decide(User).alias

    assert read == ["legacy", "legacy"]
    assert settled.decision is decision("legacy", "replica")
    assert lost == "default"


def test_settle__something_else_is_owed_by_now() -> None:
    """What was compared with another position settles nothing."""
    with lagging("replica") as group:
        replayed(group, replica=5)
        assert group.snapshot.preferred
        frame = context.request_context(consistency=consistency_from({"default": at(6)}))
        frame.consistency.remember("default", at(4), group.snapshot.preferred)
        assert frame.consistency.cached.generation is not group.snapshot.generation


def test_decision__is_one_object() -> None:
    """It is counted by identity."""
    assert decision("replica", "replica") is decision("replica", "replica")
    with activate(context.request_context()):
        assert decide(User) is decide(User) is decision("replica", "replica")
    assert repr(decision("replica", "replica")) == "Decision('replica', 'replica')"


def test_rules__names() -> None:
    """They are the label values that dashboards and alerts name, in the order in which they decide."""
    assert [rule.name for rule in RULES] == [
        "owner", "primary_only", "override", "loaded_from_owner", "in_transaction", "unsafe_method",
        "pinned", "replica", "down",
    ]  # fmt: skip


def test_decide__an_owed_position() -> None:
    """The owner is read until a replica is known to have replayed it, and the replica from then on."""
    with lagging("replica") as group:
        replayed(group, replica=4)
        with activate(context.request_context(consistency=consistency_from({"default": at(5)}))):
            assert decided() == ("default", "pinned")
        replayed(group, replica=5)
        with activate(context.request_context(consistency=consistency_from({"default": at(5)}))):
            assert decided() == ("replica", "replica")


def test_decide__a_report_by_one_who_owes() -> None:
    """It tolerates lag: it is read from the replica, and the other reads are not."""
    with (
        lagging("replica") as group,
        activate(context.request_context(consistency=consistency_from({"default": at(5)}))),
    ):
        replayed(group, replica=4)
        with use_replica():
            assert decided() == ("replica", "override")
        assert decided() == ("default", "pinned")


def test_decide__a_report_without_a_fit_replica() -> None:
    """It is read from the owner."""
    with lagging("replica") as group, use_replica():
        replayed(group, replica=4, unfit=("replica",))

        assert decided() == ("default", "override")


def test_decide__after_a_fall_back_to_the_owner() -> None:
    """No replica is read before it has what the owner had when it was read."""
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
    """It owes its write, not its reads: else it would never come back to a replica."""
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


def test_decide__one_of_two_replicas_has_what_is_owed() -> None:
    """That one is read, though the other one is behind by less time."""
    with (
        lagging(*BOTH) as group,
        activate(context.request_context(consistency=consistency_from({"default": at(5)}))),
    ):
        group.replace_snapshot([Replica("replica", "", at(4), 0.0), Replica("legacy", "", at(5), 3.0)])

        assert decided() == ("legacy", "replica")


def test_decide__stays_on_the_replica_it_read() -> None:
    """Another one, though better by now, may be behind what was seen there."""
    with lagging(*BOTH) as group, activate(context.request_context()):
        group.replace_snapshot([Replica("replica", "", at(4), 0.0), Replica("legacy", "", at(4), 1.0)])
        assert decided() == ("replica", "replica")
        group.replace_snapshot([Replica("replica", "", at(4), 9.0), Replica("legacy", "", at(5), 0.0)])
        assert decided() == ("replica", "replica")
    with lagging(*BOTH) as group, activate(context.request_context()):
        group.replace_snapshot([Replica("replica", "", at(4), 9.0), Replica("legacy", "", at(5), 0.0)])
        assert decided() == ("legacy", "replica")


def test_decide__the_replica_it_read_is_lost() -> None:
    """The owner is read, which surely is not behind it, and owed from then on."""
    with lagging(*BOTH) as group, activate(context.request_context()) as frame:
        replayed(group, replica=4, legacy=4)
        decided()
        replayed(group, replica=4, legacy=4, unfit=("replica",))

        assert decided() == ("default", "down")
        assert "default" not in frame.consistency.last_replica
        assert "default" in frame.consistency.required


def test_instead_of__the_only_replica() -> None:
    """Its owner is read, and owed."""
    with lagging("replica") as group, activate(context.request_context()) as frame:
        replayed(group, replica=4)

        assert fallback_alias("replica") == "default"
        assert "default" in frame.consistency.required


def test_instead_of__another_replica() -> None:
    """It is read where nothing was seen yet and it has what is owed; each is tried once."""
    with lagging(*BOTH) as group:
        replayed(group, replica=4, legacy=4)
        with activate(context.request_context()):
            assert fallback_alias("replica") == "legacy"
            assert fallback_alias("replica", tried={"legacy"}) == "default"
        with activate(context.request_context(consistency=consistency_from({"default": at(5)}))):
            assert fallback_alias("replica") == "default"


def test_instead_of__a_replica_that_was_read() -> None:
    """Nothing bounds what it showed: the owner is read."""
    with lagging(*BOTH) as group, activate(context.request_context()):
        replayed(group, replica=4, legacy=4)
        decided()

        assert fallback_alias("replica") == "default"


def test_instead_of__in_the_owners_open_transaction() -> None:
    """What the transaction wrote stays owed until it is over, whatever was read meanwhile."""
    with lagging("replica") as group, activate(context.request_context()) as frame, transaction("own"):
        replayed(group, replica=4)
        frame.consistency.require("default", PendingPosition(time.monotonic(), connections["default"]))
        with use_replica():
            assert fallback_alias("replica") == "default"
        sampled(group, 7)

        assert type(frame.consistency.required_position("default")) is PendingPosition


def test_instead_of__an_owner() -> None:
    """An owner has no substitute."""
    assert fallback_alias("analytics") == "analytics"


def test_in_transaction__kinds() -> None:
    """A program's own transaction counts, begun by `atomic()` or without it; a TestCase's does not."""
    found = {}
    for kind in ("none", "testcase", "own", "own in testcase", "closed", "begun"):
        with transaction(kind):
            found[kind] = program_transaction_on("default") is not None

    assert found == {
        "none": False, "testcase": False, "own": True, "own in testcase": True, "closed": False, "begun": True
    }  # fmt: skip


def test_program_transaction_on__is_the_threads_connection() -> None:
    """The connection is the object that `connections` has for this thread."""
    with transaction("own"):
        assert program_transaction_on("default") is connections["default"]
        assert program_transaction_on("replica") is None


def test_program_transaction_on__closed_inside_its_transaction() -> None:
    """A transaction that ended without a report is no longer open."""
    with transaction("own"):
        connections["default"].in_atomic_block, connections["default"].connection = False, None

        assert program_transaction_on("default") is None


def test_decide__settings_that_change() -> None:
    """A model's route is looked up anew."""
    with activate(context.request_context()):
        assert decided() == ("replica", "replica")
        with lagging():
            assert decided() == ("default", "owner")
        assert decided() == ("replica", "replica")


@pytest.mark.parametrize(("prefers", "unsafe"), list(product(["", "primary", "replica"], [False, True])))
def test_decide__rows_that_must_never_be_stale(prefers: Any, *, unsafe: bool) -> None:
    """They are read from their owner whatever is asked for."""
    with activate(RoutingContext(ConsistencyState(), preference=prefers, unsafe_method=unsafe)):
        assert decided(Session) == ("default", "primary_only")


def test_decide__in_step_replicas() -> None:
    """They show every row at once: nothing is owed, and a fall-back owes nothing either."""
    group = replication_set("default")
    assert group.snapshot.lag_free
    with activate(context.request_context()) as frame:
        group.replace_snapshot([Replica("replica", "down")])
        try:
            assert decided() == ("default", "down")
        finally:
            group.replace_snapshot([Replica("replica")])
        assert decided() == ("replica", "replica")
        assert not frame.consistency.required


def test_use_primary__inside_a_report() -> None:
    """The inner block decides."""
    with use_replica():
        with use_primary():
            assert decided() == ("default", "override")
        assert decided() == ("replica", "override")
