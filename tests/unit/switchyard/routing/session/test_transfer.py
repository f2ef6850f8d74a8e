"""Tokens in and out: no read of a client is stale or goes back in time, whatever the servers do."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.db import connections
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support.examples import examples
from tests.support.published import at, consistency_from, lagging, replayed, sampled

from accounts.models import User
from switchyard.positions import Position
from switchyard.routing.selection.select import decide, fallback_alias, record_fallback
from switchyard.routing.session import token, transfer
from switchyard.routing.session.consistency import MAX_CLOCK_DIFFERENCE_SECONDS, ConsistencyState, PendingPosition
from switchyard.routing.session.context import activate, current, request_context
from switchyard.routing.session.token import TokenEntry, decode, encode
from switchyard.routing.session.tracking import record_read, record_write
from switchyard.routing.session.transfer import accept_tokens, issue_token, merge_tokens, token_rejected
from switchyard.routing.topology.replication import Replica, Shutdown
from switchyard.sql import classify

BOTH = ("replica", "legacy")
FUTURE = 2**33  # the Unix time of a transaction that is still open
INSERT = classify("INSERT INTO accounts_user (id) VALUES (1)", "postgresql")


@pytest.fixture
def reasons() -> Iterator[list[str]]:
    """The reasons of the rejected tokens and positions, in order."""
    found: list[str] = []

    def note(*, reason: str, **_: object) -> None:
        found.append(reason)

    token_rejected.connect(note)
    yield found
    token_rejected.disconnect(note)


@contextmanager
def owner_answers(monkeypatch: pytest.MonkeyPatch, answer: Position | None) -> Iterator[list[str]]:
    """Answer each query for an owner's position with `answer`; yield the list of the owners that were asked."""
    owners: list[str] = []

    def read_position(owner: str) -> Position | None:
        owners.append(owner)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "_read_position", read_position)
        yield owners


@pytest.mark.parametrize("tokens", [(), ("",), ("", "")])
def test_accept_tokens__no_tokens(tokens: tuple[str, ...], reasons: list[str]) -> None:
    """Without tokens nothing is required, and nothing is reported."""
    consistency, sent = accept_tokens(tokens)

    assert (consistency.required, consistency.last_replica, sent, reasons) == ({}, {}, (), [])


def test_accept_tokens__required_position() -> None:
    """The position is required, and the returned entries are those of the client's token."""
    entry = TokenEntry("default", at(5), last_replica="replica")
    with lagging(*BOTH) as group:
        replayed(group, replica=4, legacy=9)
        consistency, sent = accept_tokens((encode([entry]),))

    assert (consistency.required, consistency.last_replica) == ({"default": at(5)}, {"default": "replica"})
    assert sent == (entry,)


def test_accept_tokens__all_replicas_caught_up() -> None:
    """A position that all replicas have replayed is no longer required."""
    with lagging(*BOTH) as group:
        replayed(group, replica=5, legacy=9)
        consistency, sent = accept_tokens((encode([TokenEntry("default", at(5))]),))

    assert not consistency.required
    assert sent


def test_accept_tokens__forged_token(reasons: list[str]) -> None:
    """A forged token is ignored and reported, and the client needs none in its place."""
    with lagging("replica"):
        consistency, sent = accept_tokens(("not a token",))

    assert (consistency.required, sent, reasons) == ({}, None, ["forged"])


def test_accept_tokens__several_tokens() -> None:
    """The client needs one token in place of several; the same token twice is one."""
    one, other = (encode([TokenEntry("default", at(lsn))]) for lsn in (5, 6))
    with lagging("replica"):
        assert accept_tokens((one, other))[1] is None
        assert accept_tokens((one, one))[1] == (TokenEntry("default", at(5)),)


def test_accept_tokens__position_of_another_system(reasons: list[str]) -> None:
    """A position of another system is ignored and reported."""
    with lagging("replica") as group:
        sampled(group, 9)
        consistency, _ = accept_tokens((encode([TokenEntry("default", at(5, system="2"))]),))

    assert (consistency.required, reasons) == ({}, ["other_system"])


def test_accept_tokens__future_position(reasons: list[str]) -> None:
    """A position beyond the sample is required, until a later sample shows that the owner never had it."""
    text = encode([TokenEntry("default", at(1005))])
    with lagging("replica") as group:
        replayed(group, replica=3)
        sampled(group, 4)
        believed = [accept_tokens((text,))[0].required, accept_tokens((text,))[0].required]
        sampled(group, 4)
        consistency, _ = accept_tokens((text,))

    assert believed == [{"default": at(1005)}] * 2
    assert (consistency.required, reasons) == ({}, ["future"])


def test_accept_tokens__position_newer_than_the_sample(reasons: list[str]) -> None:
    """A position beyond the sample stays required when a later sample includes it."""
    text = encode([TokenEntry("default", at(2005))])
    with lagging("replica") as group:
        replayed(group, replica=3)
        sampled(group, 4)
        accept_tokens((text,))
        sampled(group, 2006)

        assert accept_tokens((text,))[0].required == {"default": at(2005)}

    assert not reasons


def test_accept_tokens__owner_without_replicas() -> None:
    """An owner without replicas requires nothing, and a replica of another owner is forgotten."""
    with lagging("replica"):
        consistency, _ = accept_tokens(
            (encode([TokenEntry("analytics", at(5)), TokenEntry("default", None, last_replica="legacy")]),)
        )

    assert (consistency.required, consistency.last_replica) == ({}, {})


def test_accept_tokens__replicas_without_lag() -> None:
    """Replicas without lag have every position."""
    consistency, _ = accept_tokens((encode([TokenEntry("default", at(5))]),))

    assert not consistency.required


@pytest.mark.parametrize(
    ("cookie", "header", "required", "last_replica"),
    [
        (TokenEntry("default", at(5)), TokenEntry("default", at(7)), at(7), ""),
        (TokenEntry("default", at(7)), TokenEntry("default", at(5)), at(7), ""),
        (
            TokenEntry("default", at(7), last_replica="replica"),
            TokenEntry("default", None, last_replica="replica"),
            at(7),
            "replica",
        ),
        (TokenEntry("default", written_before=FUTURE), TokenEntry("default", at(5)), None, ""),
        # No position covers both: incomparable positions, and reads of two replicas.
        (TokenEntry("default", at(5)), TokenEntry("default", at(4, timeline=2)), None, ""),
        (
            TokenEntry("default", at(5), last_replica="replica"),
            TokenEntry("default", at(5), last_replica="legacy"),
            None,
            "",
        ),
    ],
)
def test_accept_tokens__cookie_and_header(
    cookie: TokenEntry, header: TokenEntry, required: Position | None, last_replica: str
) -> None:
    """The state requires both positions."""
    with lagging(*BOTH):
        consistency, _ = accept_tokens((encode([cookie]), encode([header])))
    found = consistency.required["default"]

    assert (None if type(found) is PendingPosition else found) == required
    assert consistency.last_replica.get("default", "") == last_replica


def test_issue_token__nothing_required() -> None:
    """A state without requirements has no token."""
    assert issue_token(ConsistencyState()) == ""


def test_issue_token__write(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of the write is asked once for its position."""
    with lagging("replica") as group, owner_answers(monkeypatch, at(9)) as owners:
        replayed(group, replica=8)
        consistency = ConsistencyState()
        consistency.require("default", PendingPosition(time.monotonic()))
        consistency.require("default", PendingPosition(time.monotonic()))

        assert decode(issue_token(consistency)) == [TokenEntry("default", at(9))]

    assert owners == ["default"]


def test_issue_token__write_that_all_replicas_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """A position that all replicas have replayed is not in the token."""
    with lagging("replica") as group, owner_answers(monkeypatch, at(9)):
        replayed(group, replica=9)
        consistency = ConsistencyState()
        consistency.require("default", PendingPosition(time.monotonic()))

        assert issue_token(consistency) == ""


def test_issue_token__owner_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token has the time before which everything is required. Later requests ask no owner for its position."""
    before = time.time()
    with lagging("replica"):
        consistency = ConsistencyState()
        consistency.require("default", PendingPosition(time.monotonic()))
        with owner_answers(monkeypatch, None):
            text = issue_token(consistency)
        with owner_answers(monkeypatch, at(9)) as owners:
            again = issue_token(accept_tokens((text,))[0])
            found, _ = accept_tokens((again,))
            with activate(request_context(consistency=found)):
                record_fallback("default", current(), "pinned")
                record_read("default")
                known = issue_token(found)

    (entry,) = decode(text)
    assert entry.written_before is not None
    assert before <= entry.written_before <= time.time() + 1
    assert decode(again) == decode(text)
    assert owners == ["default"]  # of the request that read the owner
    assert decode(known) == [TokenEntry("default", at(9))]


@pytest.mark.parametrize("accepted", [at(4), None])
def test_issue_token__a_write_that_failed(monkeypatch: pytest.MonkeyPatch, accepted: Position | None) -> None:
    """The token keeps the position before the failed write, for several requests, while the owner does not answer."""
    consistency = ConsistencyState()
    with lagging("replica"), owner_answers(monkeypatch, None):
        if accepted is not None:
            consistency.require("default", accepted)
        consistency.require("default", PendingPosition(time.monotonic(), is_uncertain=True))
        for _ in range(2):
            consistency, _entries = accept_tokens((issue_token(consistency),))
        surely = consistency.without_uncertain("default")

        assert type(consistency.required_position("default")) is PendingPosition
        assert surely is not None
        assert surely.required == ({} if accepted is None else {"default": accepted})


def test_issue_token__accepted_position(monkeypatch: pytest.MonkeyPatch) -> None:
    """A position from the client's token stays the same, without a query."""
    text = encode([TokenEntry("default", at(5), last_replica="legacy")])
    with lagging(*BOTH), owner_answers(monkeypatch, at(9)) as owners:
        assert decode(issue_token(accept_tokens((text,))[0])) == decode(text)

    assert owners == []


def test_issue_token__replicas_without_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """No owner is asked and the token is empty, also after an unknown position."""
    with owner_answers(monkeypatch, at(9)) as owners:
        consistency, _ = accept_tokens((encode([TokenEntry("default", written_before=FUTURE)]),))

        assert issue_token(consistency) == ""

    assert owners == []


def test_issue_token__no_connection_to_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is opened, so the position of the write stays unknown."""
    monkeypatch.setattr(connections["default"], "connection", None)
    with lagging("replica"):
        (entry,) = decode(issue_token(consistency_from({"default": PendingPosition(0.0)})))

    assert entry.position is None
    assert entry.written_before is not None


def pending_after(seconds: float) -> ConsistencyState:
    """Return the state of a client whose token, without a position, is so many seconds old."""
    return accept_tokens((encode([TokenEntry("default", written_before=round(time.time() - seconds))]),))[0]


def test_accept_tokens__old_token_without_a_position(monkeypatch: pytest.MonkeyPatch, reasons: list[str]) -> None:
    """A sample of the owner ends it: replicas that have replayed the sample are read, without a query."""
    with lagging("replica") as group, owner_answers(monkeypatch, at(99)) as owners:
        replayed(group, replica=8)
        sampled(group, 9)
        waiting = pending_after(60).required
        replayed(group, replica=9)
        ended = pending_after(60)

        assert (waiting, ended.required) == ({"default": at(9)}, {})
        assert issue_token(ended) == ""
    assert (owners, reasons) == ([], [])


def test_accept_tokens__new_token_without_a_position() -> None:
    """Only a sample that begins after the request arrived resolves it, as the clocks of processes differ."""
    with lagging("replica") as group:
        replayed(group, replica=8)
        sampled(group, 8)
        consistency = pending_after(MAX_CLOCK_DIFFERENCE_SECONDS - 2)
        assert type(consistency.required_position("default")) is PendingPosition
        sampled(group, 8)

        assert consistency.required_position("default") == at(8)


@pytest.mark.parametrize(("promoted_ago", "resolved"), [(1, True), (3, False)])
def test_accept_tokens__after_a_shutdown(promoted_ago: float, *, resolved: bool) -> None:
    """A time before the promotion is before all that the owner's server had written; a later time is not."""
    with lagging("replica") as group:
        promoted_at = time.monotonic() - promoted_ago
        group.replace_snapshot(unavailable_reason="down", shutdown=Shutdown(promoted_at - 3, promoted_at, at(7)))
        consistency = pending_after(2)

        assert (consistency.required_position("default") == at(7)) is resolved


def test_accept_tokens__token_of_a_clock_ahead() -> None:
    """A time just ahead of this clock counts as now: the client wrote before its request arrived."""
    with lagging("replica") as group:
        consistency = pending_after(2 - MAX_CLOCK_DIFFERENCE_SECONDS)
        sampled(group, 8)

        assert consistency.required_position("default") == at(8)


def test_accept_tokens__token_of_an_open_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sample resolves it before the end of the time that a transaction may take, and no query either."""
    with lagging("replica") as group, owner_answers(monkeypatch, at(9)) as owners:
        text = encode([TokenEntry("default", written_before=FUTURE)])
        consistency, _ = accept_tokens((text,))
        sampled(group, 8)
        assert type(consistency.required_position("default")) is PendingPosition
        with activate(request_context(consistency=consistency)):
            record_fallback("default", current(), "pinned")
        assert issue_token(consistency) != ""
        sampled(group, 8)

        assert type(consistency.required_position("default")) is PendingPosition
    assert owners == []


@pytest.mark.parametrize("fallbacks", [[], ["only-for-tests"]])
def test_accept_tokens__rolled_key(
    monkeypatch: pytest.MonkeyPatch, reasons: list[str], settings: Any, fallbacks: list[str]
) -> None:
    """With the old key as a fallback the position is read; without it everything before now is required."""
    settings.SECRET_KEY_FALLBACKS = []
    settings.SECRET_KEY = "only-for-tests"
    with lagging("replica") as group, owner_answers(monkeypatch, at(99)) as owners:
        replayed(group, replica=8)
        sampled(group, 8)
        text = encode([TokenEntry("default", at(5))])
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "rolled", fallbacks
        consistency, sent = accept_tokens((text,))
        if fallbacks:
            assert (consistency.required, sent, reasons) == ({}, (TokenEntry("default", at(5)),), [])
            return
        assert type(consistency.required_position("default")) is PendingPosition
        assert (sent, reasons) == (None, ["unknown_key"])
        assert decode(issue_token(consistency))[0].written_before is not None
        sampled(group, 8)
        assert consistency.required_position("default") == at(8)

    assert owners == []


def test_merge_tokens__both_positions() -> None:
    """The token requires what both tokens require; an empty token requires nothing."""
    one, other = (encode([TokenEntry("default", at(lsn))]) for lsn in (5, 6))
    with lagging("replica"):
        assert merge_tokens((one, "", other)) == other
        assert merge_tokens(("", "")) == ""


class Clients(RuleBasedStateMachine):
    """One client of a simulated owner with two replicas.

    The owner's position is a counter of writes. The replicas replay it late, and this process learns of it later.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.group = self.stack.enter_context(lagging(*BOTH))
        self.patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        self.patch.setattr(transfer, "_read_position", self.read_position)
        # The positions that another run saw are not of this owner.
        self.patch.setattr(transfer, "_future_positions", transfer.FuturePositions())
        self.owner_answers = True
        self.written = 0
        self.replayed = dict.fromkeys(BOTH, 0)
        self.known = dict.fromkeys(BOTH, 0)
        self.unfit: set[str] = set()
        self.probes_begun_at: list[float] = []
        self.token = ""
        self.own = self.seen = 0
        self.context: Any = None  # a RoutingContext during a request

    def teardown(self) -> None:
        self.stack.close()

    def read_position(self, owner: str) -> Position | None:
        assert owner == "default"
        return at(self.written) if self.owner_answers else None

    def publish(self) -> None:
        self.group.replace_snapshot(
            Replica(each, "down" if each in self.unfit else "", at(self.known[each])) for each in BOTH
        )

    @initialize()
    def begin(self) -> None:
        self.publish()

    @rule()
    def other_client_writes(self) -> None:
        self.written += 1

    @rule(alias=st.sampled_from(BOTH), data=st.data())
    def replica_replays(self, alias: str, data: st.DataObject) -> None:
        self.replayed[alias] = data.draw(st.integers(self.replayed[alias], self.written))

    @rule(alias=st.sampled_from(BOTH), data=st.data())
    def replica_is_probed(self, alias: str, data: st.DataObject) -> None:
        """The known position is never beyond the replayed position."""
        self.known[alias] = data.draw(st.integers(self.known[alias], self.replayed[alias]))
        self.publish()

    @rule(alias=st.sampled_from(BOTH))
    def replica_fails_or_recovers(self, alias: str) -> None:
        self.unfit ^= {alias}
        self.publish()

    @rule()
    def probe_of_the_owner_begins(self) -> None:
        self.probes_begun_at.append(time.monotonic())

    @precondition(lambda self: self.probes_begun_at)
    @rule()
    def probe_of_the_owner_ends(self) -> None:
        """The answer may include the writes since the probe began."""
        sampled(self.group, self.written, self.probes_begun_at.pop(0))

    @rule()
    def all_catch_up(self) -> None:
        """Every replica has replayed everything, and the snapshot says so."""
        self.replayed = self.known = dict.fromkeys(BOTH, self.written)
        self.known = dict(self.known)
        self.unfit.clear()
        self.probes_begun_at.clear()
        sampled(self.group, self.written)
        self.publish()

    @rule()
    def owner_begins_or_ends_to_answer(self) -> None:
        self.owner_answers = not self.owner_answers

    @precondition(lambda self: self.context is None)
    @rule(unsafe=st.booleans())
    def request_begins(self, *, unsafe: bool) -> None:
        consistency, _ = accept_tokens((self.token,))
        self.context = request_context(unsafe_method=unsafe, consistency=consistency)

    @precondition(lambda self: self.context is not None)
    @rule()
    def request_writes(self) -> None:
        with activate(self.context):
            self.written += 1
            self.own = self.written
            record_write("default", INSERT)

    @precondition(lambda self: self.context is not None)
    @rule(breaks=st.booleans(), meanwhile=st.booleans())
    def request_reads(self, *, breaks: bool, meanwhile: bool) -> None:
        """The request sees its own writes, and no older rows than before."""
        may_read_any = (
            not self.context.consistency.required
            and not self.context.consistency.last_replica
            and not self.context.unsafe_method
        )
        with activate(self.context):
            alias = decide(User).alias
            assert not (may_read_any and self.group.snapshot.eligible) or alias in BOTH
            assert alias not in self.unfit
            if breaks and alias in BOTH:
                alias = fallback_alias(alias)
        if meanwhile:  # between the decision and the query
            sampled(self.group, self.written)
            self.written += 1
        with activate(self.context):
            record_read(alias)
        shown = self.written if alias == "default" else self.replayed[alias]
        assert shown >= self.own, "stale"
        if not self.context.unsafe_method:
            assert shown >= self.seen, "back in time"
            self.seen = shown

    @precondition(lambda self: self.context is not None)
    @rule()
    def request_ends(self) -> None:
        with activate(self.context):
            self.token = issue_token(self.context.consistency)
        self.context = None
        for entry in decode(self.token) if self.token else ():
            if entry.position is not None:
                assert not all(at(self.known[each]).includes(entry.position) for each in BOTH), "all have caught up"

    @invariant()
    def token_is_small(self) -> None:
        assert len(self.token) <= token.MAX_LENGTH


Clients.TestCase.settings = hypothesis_settings(
    max_examples=examples(100, all_cases=800), stateful_step_count=40, deadline=None
)
test_clients = Clients.TestCase


def token_of(server: str, position: Position | None = None) -> str:
    """Return the token of a client that read this server last."""
    return encode([TokenEntry("default", position, server=token.server_fingerprint(server))])


def test_accept_tokens__last_server() -> None:
    """The server is recognised and stays in the token."""
    with lagging("replica") as group:
        group.replace_snapshot(
            [Replica("replica", "", at(4))], by_server={"10.0.0.1/5432": Replica("replica", "", at(4))}
        )
        sent = token_of("10.0.0.1/5432")
        consistency, same = accept_tokens((sent,))

        assert (consistency.required, consistency.last_server) == ({}, {"default": "10.0.0.1/5432"})
        assert decode(issue_token(consistency)) == decode(sent)
        assert same == tuple(decode(sent))


def test_accept_tokens__unknown_server() -> None:
    """An unknown server requires the position of the owner's next sample, also beside a required position."""
    with lagging("replica") as group:
        group.replace_snapshot([Replica("replica", "", at(9))], by_server={"a": Replica("replica", "", at(9))})
        sampled(group, 9)
        for sent in (token_of("b"), token_of("b", at(5))):
            consistency, _ = accept_tokens((sent,))
            assert type(consistency.required_position("default")) is PendingPosition
        sampled(group, 11)

        assert consistency.required_position("default") == at(11)


def test_accept_tokens__two_servers() -> None:
    """Reads of two servers require everything that the owner had when the request arrived."""
    with lagging("replica") as group:
        group.replace_snapshot(by_server={server: Replica("replica", "", at(9)) for server in ("a", "b")})
        consistency, _ = accept_tokens((token_of("a"), token_of("b")))
        assert type(consistency.required_position("default")) is PendingPosition
        sampled(group, 9)

        assert consistency.required_position("default") == at(9)
        assert consistency.last_server == {}


def test_issue_token__servers_behind_an_alias() -> None:
    """A position stays in the token until every server behind an alias has it, also a server without a probe."""
    with lagging("replica") as group:
        found = []
        for positions, unprobed in (({"b": 4}, False), ({"b": 5}, True), ({"b": 5}, False)):
            known = {server: Replica("replica", "", at(lsn)) for server, lsn in positions.items()}
            group.replace_snapshot([Replica("replica", "", at(9))], by_server=known, has_unprobed_servers=unprobed)
            found.append(issue_token(consistency_from({"default": at(5)})) != "")

    assert found == [True, True, False]
