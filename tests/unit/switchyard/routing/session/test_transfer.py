"""What a client carries: no read is stale for it and none goes back in time, whatever the servers do meanwhile."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import inf
from typing import Any

import pytest
from django.db import connections
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support.published import at, lagging, replayed, sampled

from accounts.models import User
from switchyard.positions import Position
from switchyard.routing.selection.select import decide, fallback_alias
from switchyard.routing.session import context, token, transfer
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition, consistency_from
from switchyard.routing.session.context import activate
from switchyard.routing.session.token import TokenEntry, decode, encode
from switchyard.routing.session.tracking import record_read, record_write
from switchyard.routing.session.transfer import accept_tokens, issue_token, token_rejected
from switchyard.routing.topology.replication import Replica
from switchyard.sql.classifier import classify

BOTH = ("replica", "legacy")
INSERT = classify("INSERT INTO accounts_user (id) VALUES (1)", "postgresql")


@pytest.fixture
def reasons() -> Iterator[list[str]]:
    """Why tokens were ignored."""
    found: list[str] = []

    def note(*, reason: str, **_: object) -> None:
        found.append(reason)

    token_rejected.connect(note)
    yield found
    token_rejected.disconnect(note)


@contextmanager
def asked(monkeypatch: pytest.MonkeyPatch, answer: Position | None) -> Iterator[list[str]]:
    """Let the owner answer so when it is asked for its position; the list is of those asked."""
    owners: list[str] = []

    def ask(owner: str) -> Position | None:
        owners.append(owner)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "_read_position", ask)
        yield owners


def test_received__nothing() -> None:
    """Nothing is owed."""
    ledger, sent = accept_tokens(("", ""))

    assert (ledger.required, ledger.last_replica, sent) == ({}, {}, "")


def test_received__what_is_owed() -> None:
    """It is owed, and the token that says the same is the one that came."""
    with lagging(*BOTH) as group:
        replayed(group, replica=4, legacy=9)
        text = encode([TokenEntry("default", at(5), last_replica="replica")])
        ledger, sent = accept_tokens((text, ""))

    assert (ledger.required, ledger.last_replica) == ({"default": at(5)}, {"default": "replica"})
    assert sent == text


def test_received__what_all_replicas_have() -> None:
    """It is owed no more."""
    with lagging(*BOTH) as group:
        replayed(group, replica=5, legacy=9)
        ledger, sent = accept_tokens((encode([TokenEntry("default", at(5))]),))

    assert not ledger.required
    assert sent


def test_received__forged(reasons: list[str]) -> None:
    """It is ignored and counted."""
    with lagging("replica"):
        ledger, sent = accept_tokens(("not a token", ""))

    assert (ledger.required, sent, reasons) == ({}, "", ["forged"])


def test_received__of_another_system(reasons: list[str]) -> None:
    """It is ignored and counted."""
    with lagging("replica") as group:
        sampled(group, 9)
        ledger, _ = accept_tokens((encode([TokenEntry("default", at(5, system="2"))]),))

    assert (ledger.required, reasons) == ({}, ["other_system"])


def test_received__ahead_of_the_sample(reasons: list[str]) -> None:
    """It is believed until a sample taken after it came shows that the owner never was there."""
    text = encode([TokenEntry("default", at(1005))])
    with lagging("replica") as group:
        replayed(group, replica=3)
        sampled(group, 4)
        believed = [accept_tokens((text,))[0].required, accept_tokens((text,))[0].required]
        sampled(group, 4)
        ledger, _ = accept_tokens((text,))

    assert believed == [{"default": at(1005)}] * 2
    assert (ledger.required, reasons) == ({}, ["future"])


def test_received__ahead_of_the_sample_and_true(reasons: list[str]) -> None:
    """It is owed as any other once a sample covers it."""
    text = encode([TokenEntry("default", at(2005))])
    with lagging("replica") as group:
        replayed(group, replica=3)
        sampled(group, 4)
        accept_tokens((text,))
        sampled(group, 2006)

        assert accept_tokens((text,))[0].required == {"default": at(2005)}

    assert not reasons


def test_received__an_owner_without_replicas() -> None:
    """It is no owner that anything could be owed to, and no replica that is none of its own is kept to."""
    with lagging("replica"):
        ledger, _ = accept_tokens(
            (encode([TokenEntry("analytics", at(5)), TokenEntry("default", None, last_replica="legacy")]),)
        )

    assert (ledger.required, ledger.last_replica) == ({}, {})


def test_received__in_step_replicas() -> None:
    """They have everything."""
    ledger, _ = accept_tokens((encode([TokenEntry("default", at(5))]),))

    assert not ledger.required


@pytest.mark.parametrize(
    ("cookie", "header", "owed", "last"),
    [
        (TokenEntry("default", at(5)), TokenEntry("default", at(7)), at(7), ""),
        (TokenEntry("default", at(7)), TokenEntry("default", at(5)), at(7), ""),
        (
            TokenEntry("default", at(7), last_replica="replica"),
            TokenEntry("default", None, last_replica="replica"),
            at(7),
            "replica",
        ),
        (TokenEntry("default", None, unknown=True), TokenEntry("default", at(5)), None, ""),
        # No position bounds both: two that cannot be compared, and what two replicas showed.
        (TokenEntry("default", at(5)), TokenEntry("default", at(4, timeline=2)), None, ""),
        (
            TokenEntry("default", at(5), last_replica="replica"),
            TokenEntry("default", at(5), last_replica="legacy"),
            None,
            "",
        ),
    ],
)
def test_received__a_cookie_and_a_header(
    cookie: TokenEntry, header: TokenEntry, owed: Position | None, last: str
) -> None:
    """What either says is owed."""
    with lagging(*BOTH):
        ledger, _ = accept_tokens((encode([cookie]), encode([header])))
    found = ledger.required["default"]

    assert (None if type(found) is PendingPosition else found) == owed
    assert ledger.last_replica.get("default", "") == last


def test_carried__nothing() -> None:
    """A ledger that owes nothing makes no token."""
    assert issue_token(ConsistencyState()) == ""


def test_carried__a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner is asked, once, for the position."""
    with lagging("replica") as group, asked(monkeypatch, at(9)) as owners:
        replayed(group, replica=8)
        ledger = ConsistencyState()
        ledger.require("default", PendingPosition(time.monotonic()))
        ledger.require("default", PendingPosition(time.monotonic()))

        assert decode(issue_token(ledger)) == [TokenEntry("default", at(9))]

    assert owners == ["default"]


def test_carried__a_write_that_every_replica_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is carried."""
    with lagging("replica") as group, asked(monkeypatch, at(9)):
        replayed(group, replica=9)
        ledger = ConsistencyState()
        ledger.require("default", PendingPosition(time.monotonic()))

        assert issue_token(ledger) == ""


def test_carried__an_owner_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The write is carried as one whose position nobody knows, until it is known."""
    with lagging("replica"):
        ledger = ConsistencyState()
        ledger.require("default", PendingPosition(time.monotonic()))
        with asked(monkeypatch, None):
            text = issue_token(ledger)
        with asked(monkeypatch, None):
            again = issue_token(accept_tokens((text,))[0])
        with asked(monkeypatch, at(9)):
            known = issue_token(accept_tokens((again,))[0])

    assert decode(text) == decode(again) == [TokenEntry("default", None, unknown=True)]
    assert decode(known) == [TokenEntry("default", at(9))]


def test_carried__a_position_that_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on as it came, without a question."""
    text = encode([TokenEntry("default", at(5), last_replica="legacy")])
    with lagging(*BOTH), asked(monkeypatch, at(9)) as owners:
        assert issue_token(accept_tokens((text,))[0]) == text

    assert owners == []


def test_carried__in_step_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked and nothing is carried, not even what came as unknown."""
    with asked(monkeypatch, at(9)) as owners:
        ledger, _ = accept_tokens((encode([TokenEntry("default", None, unknown=True)]),))

        assert issue_token(ledger) == ""

    assert owners == []


def test_carried__no_connection_to_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is opened: a write whose position was asked for on no connection stays unknown."""
    monkeypatch.setattr(connections["default"], "connection", None)
    with lagging("replica"):
        assert decode(issue_token(consistency_from({"default": None}))) == [TokenEntry("default", None, unknown=True)]


class Clients(RuleBasedStateMachine):
    """One client of a simulated owner, a counter, with two replicas that replay it late and are sampled later still."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.group = self.stack.enter_context(lagging(*BOTH))
        self.patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        self.patch.setattr(transfer, "_read_position", self.asked)
        self.patch.setattr(
            transfer, "_future_positions", transfer.FuturePositions()
        )  # another run's positions are another world's
        self.answers = True
        self.written = 0
        self.replayed = dict.fromkeys(BOTH, 0)
        self.known = dict.fromkeys(BOTH, 0)
        self.unfit: set[str] = set()
        self.begun: list[float] = []
        self.token = ""
        self.own = self.seen = 0
        self.frame: Any = None

    def teardown(self) -> None:
        self.stack.close()

    def asked(self, owner: str) -> Position | None:
        assert owner == "default"
        return at(self.written) if self.answers else None

    def publish(self) -> None:
        self.group.replace_snapshot(
            Replica(each, "down" if each in self.unfit else "", at(self.known[each])) for each in BOTH
        )

    @initialize()
    def begin(self) -> None:
        self.publish()

    @rule()
    def somebody_else_writes(self) -> None:
        self.written += 1

    @rule(alias=st.sampled_from(BOTH), data=st.data())
    def replica_replays(self, alias: str, data: st.DataObject) -> None:
        self.replayed[alias] = data.draw(st.integers(self.replayed[alias], self.written))

    @rule(alias=st.sampled_from(BOTH), data=st.data())
    def replica_is_judged(self, alias: str, data: st.DataObject) -> None:
        """What is known about it is never more than what it has replayed."""
        self.known[alias] = data.draw(st.integers(self.known[alias], self.replayed[alias]))
        self.publish()

    @rule(alias=st.sampled_from(BOTH))
    def replica_breaks_or_mends(self, alias: str) -> None:
        self.unfit ^= {alias}
        self.publish()

    @rule()
    def question_to_the_owner_begins(self) -> None:
        self.begun.append(time.monotonic())

    @precondition(lambda self: self.begun)
    @rule()
    def question_to_the_owner_ends(self) -> None:
        """Whatever happened since it began may be in the answer, or not."""
        sampled(self.group, self.written, self.begun.pop(0))

    @rule()
    def all_catch_up(self) -> None:
        """Every replica has everything, and it is known."""
        self.replayed = self.known = dict.fromkeys(BOTH, self.written)
        self.known = dict(self.known)
        self.unfit.clear()
        self.begun.clear()
        sampled(self.group, self.written)
        self.publish()

    @rule()
    def owner_answers_or_not(self) -> None:
        self.answers = not self.answers

    @precondition(lambda self: self.frame is None)
    @rule(unsafe=st.booleans())
    def request_begins(self, *, unsafe: bool) -> None:
        ledger, _ = accept_tokens((self.token,))
        self.frame = context.request_context(unsafe_method=unsafe, consistency=ledger)

    @precondition(lambda self: self.frame is not None)
    @rule()
    def request_writes(self) -> None:
        with activate(self.frame):
            self.written += 1
            self.own = self.written
            record_write("default", INSERT)

    @precondition(lambda self: self.frame is not None)
    @rule(breaks=st.booleans(), meanwhile=st.booleans())
    def request_reads(self, *, breaks: bool, meanwhile: bool) -> None:
        """It sees what it wrote, and nothing older than what it saw."""
        owes_nothing = (
            not self.frame.consistency.required
            and not self.frame.consistency.last_replica
            and not self.frame.unsafe_method
        )
        with activate(self.frame):
            alias = decide(User).alias
            assert not (owes_nothing and self.group.snapshot.eligible) or alias in BOTH
            assert alias not in self.unfit
            if breaks and alias in BOTH:
                alias = fallback_alias(alias)
        if meanwhile:  # between the decision and the query
            sampled(self.group, self.written)
            self.written += 1
        with activate(self.frame):
            record_read(alias)
        shown = self.written if alias == "default" else self.replayed[alias]
        assert shown >= self.own, "stale"
        if not self.frame.unsafe_method:
            assert shown >= self.seen, "back in time"
            self.seen = shown

    @precondition(lambda self: self.frame is not None)
    @rule()
    def request_ends(self) -> None:
        with activate(self.frame):
            self.token = issue_token(self.frame.consistency)
        self.frame = None
        for line in decode(self.token) if self.token else ():
            if line.position is not None:
                assert not all(at(self.known[each]).includes(line.position) for each in BOTH), "all have passed it"

    @invariant()
    def token_is_small(self) -> None:
        assert len(self.token) <= token.MAX_LENGTH


Clients.TestCase.settings = hypothesis_settings(max_examples=800, stateful_step_count=40, deadline=None)
test_clients = Clients.TestCase


def of_server(server: str, position: Position | None = None) -> str:
    return encode([TokenEntry("default", position, server=token.server_fingerprint(server))])


def test_received__the_server_read_last() -> None:
    """It is known again, and carried on as it came; its address is in no token."""
    with lagging("replica") as group:
        group.replace_snapshot(
            [Replica("replica", "", at(4))], by_server={"10.0.0.1/5432": Replica("replica", "", at(4))}
        )
        sent = of_server("10.0.0.1/5432")
        ledger, same = accept_tokens((sent,))

        assert (ledger.required, ledger.last_server) == ({}, {"default": "10.0.0.1/5432"})
        assert issue_token(ledger) == same == sent
    assert "10.0.0.1" not in decode(sent)[0].server


def test_received__a_server_that_is_not_known_here() -> None:
    """What it has shown nobody knows: the owner is read until it was sampled later, whatever else is owed."""
    with lagging("replica") as group:
        group.replace_snapshot([Replica("replica", "", at(9))], by_server={"a": Replica("replica", "", at(9))})
        sampled(group, 9)
        for sent in (of_server("b"), of_server("b", at(5))):
            ledger, _ = accept_tokens((sent,))
            assert type(ledger.required_position("default")) is PendingPosition
        sampled(group, 11)

        assert ledger.required_position("default") == at(11)


def test_received__two_tokens_of_two_servers() -> None:
    """No position bounds what both have shown."""
    ledger, _ = accept_tokens((of_server("a"), of_server("b")))
    owed = ledger.required["default"]

    assert type(owed) is PendingPosition
    assert owed.written_at == inf


def test_carried__while_a_server_is_a_stranger() -> None:
    """A position is carried until every server behind an alias has it, one that nobody asks as well."""
    with lagging("replica") as group:
        found = []
        for behind, strangers in (({"b": 4}, False), ({"b": 5}, True), ({"b": 5}, False)):
            known = {server: Replica("replica", "", at(lsn)) for server, lsn in behind.items()}
            group.replace_snapshot([Replica("replica", "", at(9))], by_server=known, has_unprobed_servers=strangers)
            found.append(issue_token(consistency_from({"default": at(5)})) != "")

    assert found == [True, True, False]
