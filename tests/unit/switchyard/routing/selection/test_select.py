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

from accounts.models import User
from switchyard.positions import Position
from switchyard.routing import PrimaryReplicaRouter, use_primary, use_replica
from switchyard.routing.connection_state import alias_in_program_transaction, thread_connection
from switchyard.routing.decision import decision
from switchyard.routing.selection.rules import RULES, Read
from switchyard.routing.selection.select import decide, instead_of
from switchyard.routing.session import context
from switchyard.routing.session.context import Ledger, State, Unplaced, current, is_process, within
from switchyard.routing.topology.replication import Replica, ReplicationSet, set_of

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
    try:
        yield
    finally:
        connection.in_atomic_block, connection.atomic_blocks, connection.autocommit, connection.connection = before


def loaded(alias: str | None) -> User:
    """Return an instance as Django makes it of a row that it read from the alias."""
    instance = User(pk=1)
    instance._state.db = alias
    return instance


def ruled(model: type[Model], instance: Model | None) -> tuple[str, str]:
    """Return what the first rule with an answer says."""
    read = Read(model, "default", instance, current(), set_of("default"))
    return next((alias, rule.name) for rule in RULES if (alias := rule.alias(read)) is not None)


def decided(model: type[Model] = User, **hints: Any) -> tuple[str, str]:
    chosen = decide(model, hints)
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


def framed(case: Case) -> State:
    """Return a frame with a ledger of its own."""
    ledger = Ledger()
    if case.owed is not None:
        ledger.owed["default"] = Unplaced(case.owed) if isinstance(case.owed, float) else case.owed
    if case.last in {each.alias for each in case.replicas}:
        ledger.last["default"] = case.last
    held = {"default": case.held} if case.held else {}
    return State(ledger, in_request=case.in_request, unsafe=case.unsafe, prefers=case.prefers, held=held)


def left(ledger: Ledger) -> tuple[Any, Any]:
    """Return what the ledger says, but for the time at which the owner was read."""
    owed = ledger.owed.get("default")
    return ("unplaced" if type(owed) is Unplaced else owed), ledger.last.get("default")


@given(st.lists(cases, min_size=20, max_size=20))
def test_decide__as_the_rules_do(many: list[Case]) -> None:
    """In every state the answer is that of the first rule that has one, and the same is owed then."""
    for amount in (1, 2):
        with lagging(*BOTH[:amount]) as group:
            for case in (each for each in many if len(each.replicas) == amount):
                agree(case, group)


def agree(case: Case, group: ReplicationSet) -> None:
    group.publish(case.replicas)
    group.in_step, group.sample = case.in_step, None
    if case.sample is not None:
        sampled(group, case.sample, 10.0)
    hints = HINTS[case.hints]
    by_rules, fast = framed(case), framed(case)
    with transaction(case.transaction):
        with within(by_rules):
            expected = ruled(case.model, hints.get("instance") if hints else None)
        with within(fast):
            found = decide(case.model, hints)

    assert (found.alias, found.rule) == expected, case
    assert found is decision(*expected)
    # By these two the owner was read in a replica's place.
    if found.rule == "pinned" or (found.rule == "down" and not case.in_step):
        assert left(fast.ledger) == ("unplaced", None), case
    else:
        owed, last = left(by_rules.ledger)
        chosen = found.alias if found.rule == "default" and len(case.replicas) > 1 else last
        assert left(fast.ledger) == (owed, chosen), case


@given(st.lists(cases, min_size=21, max_size=21))
def test_db_for_read__as_decide_does(many: list[Case]) -> None:
    """The router's own short cut changes nothing: asked again, after more is known, after more is owed."""
    for amount in (1, 2):
        with lagging(*BOTH[:amount]) as group:
            some = [each for each in many if len(each.replicas) == amount]
            for case, later in pairwise(some):
                short_cut(case, later, group)


def short_cut(case: Case, later: Case, group: ReplicationSet) -> None:
    group.in_step, group.sample = case.in_step, None
    hints = HINTS[case.hints]
    frames = framed(case), framed(case)
    with transaction(case.transaction):
        for replicas in (case.replicas, later.replicas, None):
            if replicas is not None:
                group.publish(replicas)
            for frame in frames if replicas is None else ():
                frame.ledger.owe("default", at(3))
            for _ in range(2):
                with within(frames[0]):
                    chosen = decide(case.model, hints)
                with within(frames[1]):
                    alias = PrimaryReplicaRouter().db_for_read(case.model, **(hints or {}))

                # None leaves it to the next router, or to Django, which come to the same.
                assert alias == chosen.alias or (alias is None and chosen.rule in {"owner", "down"}), (case, later)
                assert left(frames[0].ledger) == left(frames[1].ledger)


def test_settled__until_more_is_owed() -> None:
    """A replica that had what was owed is looked at again when something else is."""
    with lagging("replica") as group, within(context.request(ledger=context.owing({"default": at(4)}))) as frame:
        replayed(group, replica=5)
        assert [PrimaryReplicaRouter().db_for_read(User) for _ in range(2)] == ["replica", "replica"]
        frame.ledger.owe("default", at(6))
        assert PrimaryReplicaRouter().db_for_read(User) == "default"


def test_settled__the_replica_read_last() -> None:
    """A client stays on the replica that it has read, though another one is the best by now, at no more cost."""
    with lagging(*BOTH) as group, within(context.request(ledger=context.owing({}, {"default": "legacy"}))) as frame:
        replayed(group, replica=5, legacy=5)
        read = [PrimaryReplicaRouter().db_for_read(User) for _ in range(2)]
        settled = frame.ledger.settled
        replayed(group, replica=5, legacy=5, unfit=("legacy",))
        lost = decide(User).alias

    assert read == ["legacy", "legacy"]
    assert settled.default is decision("legacy", "default")
    assert lost == "default"


def test_settle__something_else_is_owed_by_now() -> None:
    """What was compared with another position settles nothing."""
    with lagging("replica") as group:
        replayed(group, replica=5)
        assert group.best
        frame = context.request(ledger=context.owing({"default": at(6)}))
        frame.ledger.settle("default", at(4), group.best)
        assert frame.ledger.settled.judgement is not group.judgement


def test_decision__is_one_object() -> None:
    """It is counted by identity."""
    assert decision("replica", "default") is decision("replica", "default")
    with within(context.request()):
        assert decide(User) is decide(User) is decision("replica", "default")
    assert repr(decision("replica", "default")) == "Decision('replica', 'default')"


def test_rules__names() -> None:
    """They are the label values that dashboards and alerts name, in the order in which they decide."""
    assert [rule.name for rule in RULES] == [
        "owner", "primary_only", "override", "instance", "in_transaction", "unsafe", "pinned", "default", "down"
    ]  # fmt: skip


def test_decide__an_owed_position() -> None:
    """The owner is read until a replica is known to have replayed it, and the replica from then on."""
    with lagging("replica") as group:
        replayed(group, replica=4)
        with within(context.request(ledger=context.owing({"default": at(5)}))):
            assert decided() == ("default", "pinned")
        replayed(group, replica=5)
        with within(context.request(ledger=context.owing({"default": at(5)}))):
            assert decided() == ("replica", "default")


def test_decide__a_report_by_one_who_owes() -> None:
    """It tolerates lag: it is read from the replica, and the other reads are not."""
    with lagging("replica") as group, within(context.request(ledger=context.owing({"default": at(5)}))):
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
    with lagging("replica") as group, within(context.request()):
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
        assert decided() == ("replica", "default")


def test_decide__a_process_that_wrote() -> None:
    """It owes its write, not its reads: else it would never come back to a replica."""
    with lagging("replica") as group:
        replayed(group, replica=4)
        process = current()
        assert is_process(process)
        try:
            process.ledger.owe("default", at(5))
            assert decided() == ("default", "pinned")
            assert process.ledger.owed["default"] == at(5)
            replayed(group, replica=5)
            assert decided() == ("replica", "default")
        finally:
            process.ledger.owed.clear()


def test_decide__one_of_two_replicas_has_what_is_owed() -> None:
    """That one is read, though the other one is behind by less time."""
    with lagging(*BOTH) as group, within(context.request(ledger=context.owing({"default": at(5)}))):
        group.publish([Replica("replica", "", at(4), 0.0), Replica("legacy", "", at(5), 3.0)])

        assert decided() == ("legacy", "default")


def test_decide__stays_on_the_replica_it_read() -> None:
    """Another one, though better by now, may be behind what was seen there."""
    with lagging(*BOTH) as group, within(context.request()):
        group.publish([Replica("replica", "", at(4), 0.0), Replica("legacy", "", at(4), 1.0)])
        assert decided() == ("replica", "default")
        group.publish([Replica("replica", "", at(4), 9.0), Replica("legacy", "", at(5), 0.0)])
        assert decided() == ("replica", "default")
    with lagging(*BOTH) as group, within(context.request()):
        group.publish([Replica("replica", "", at(4), 9.0), Replica("legacy", "", at(5), 0.0)])
        assert decided() == ("legacy", "default")


def test_decide__the_replica_it_read_is_lost() -> None:
    """The owner is read, which surely is not behind it, and owed from then on."""
    with lagging(*BOTH) as group, within(context.request()) as frame:
        replayed(group, replica=4, legacy=4)
        decided()
        replayed(group, replica=4, legacy=4, unfit=("replica",))

        assert decided() == ("default", "down")
        assert "default" not in frame.ledger.last
        assert "default" in frame.ledger.owed


def test_instead_of__the_only_replica() -> None:
    """Its owner is read, and owed."""
    with lagging("replica") as group, within(context.request()) as frame:
        replayed(group, replica=4)

        assert instead_of("replica") == "default"
        assert "default" in frame.ledger.owed


def test_instead_of__another_replica() -> None:
    """It is read where nothing was seen yet and it has what is owed; each is tried once."""
    with lagging(*BOTH) as group:
        replayed(group, replica=4, legacy=4)
        with within(context.request()):
            assert instead_of("replica") == "legacy"
            assert instead_of("replica", tried={"legacy"}) == "default"
        with within(context.request(ledger=context.owing({"default": at(5)}))):
            assert instead_of("replica") == "default"


def test_instead_of__a_replica_that_was_read() -> None:
    """Nothing bounds what it showed: the owner is read."""
    with lagging(*BOTH) as group, within(context.request()):
        replayed(group, replica=4, legacy=4)
        decided()

        assert instead_of("replica") == "default"


def test_instead_of__in_the_owners_open_transaction() -> None:
    """What the transaction wrote stays owed until it is over, whatever was read meanwhile."""
    with lagging("replica") as group, within(context.request()) as frame, transaction("own"):
        replayed(group, replica=4)
        frame.ledger.owe("default", Unplaced(time.monotonic(), connections["default"]))
        with use_replica():
            assert instead_of("replica") == "default"
        sampled(group, 7)

        assert type(frame.ledger.position("default")) is Unplaced


def test_instead_of__an_owner() -> None:
    """An owner has no substitute."""
    assert instead_of("analytics") == "analytics"


def test_in_transaction__kinds() -> None:
    """A program's own transaction counts, begun by `atomic()` or without it; a TestCase's does not."""
    found = {}
    for kind in ("none", "testcase", "own", "own in testcase", "closed", "begun"):
        with transaction(kind):
            found[kind] = alias_in_program_transaction("default")

    assert found == {
        "none": False, "testcase": False, "own": True, "own in testcase": True, "closed": False, "begun": True
    }  # fmt: skip


@pytest.mark.parametrize("alias", ["default", "replica"])
def test_wrapper_of__is_djangos(alias: str) -> None:
    """It is the object that `connections` has for this thread."""
    assert thread_connection(alias) is connections[alias]


def test_decide__settings_that_change() -> None:
    """A model's route is looked up anew."""
    with within(context.request()):
        assert decided() == ("replica", "default")
        with lagging():
            assert decided() == ("default", "owner")
        assert decided() == ("replica", "default")


@pytest.mark.parametrize(("prefers", "unsafe"), list(product(["", "primary", "replica"], [False, True])))
def test_decide__rows_that_must_never_be_stale(prefers: Any, *, unsafe: bool) -> None:
    """They are read from their owner whatever is asked for."""
    with within(State(Ledger(), prefers=prefers, unsafe=unsafe)):
        assert decided(Session) == ("default", "primary_only")


def test_decide__in_step_replicas() -> None:
    """They show every row at once: nothing is owed, and a fall-back owes nothing either."""
    group = set_of("default")
    assert group.in_step
    with within(context.request()) as frame:
        group.publish([Replica("replica", "down")])
        try:
            assert decided() == ("default", "down")
        finally:
            group.publish([Replica("replica")])
        assert decided() == ("replica", "default")
        assert not frame.ledger.owed


def test_use_primary__inside_a_report() -> None:
    """The inner block decides."""
    with use_replica():
        with use_primary():
            assert decided() == ("default", "override")
        assert decided() == ("replica", "override")
