"""Two tabs of one browser and two workers: requests start and end in any order, and one worker's key is rolled.

The owner's position is a counter of writes. Two replicas replay it late, and each worker learns of it later. The client
must see what the responses that have arrived wrote and showed, and never has too many cookies.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpResponse
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support import published
from tests.support.browser import CONNECTIONS, Browser
from tests.support.published import at, lagging, sampled

from accounts.models import User
from switchyard.positions import Position
from switchyard.routing.contrib.middleware import _begin, _finish
from switchyard.routing.selection.select import decide, fallback_alias
from switchyard.routing.session import consistency, tracking, transfer
from switchyard.routing.session.context import RoutingContext, activate
from switchyard.routing.session.tracking import record_read, record_write
from switchyard.routing.topology.replication import Replica, Snapshot
from switchyard.sql import classify

BOTH = ("replica", "legacy")
INSERT = classify("INSERT INTO accounts_user (id) VALUES (1)", "postgresql")
MAX_COOKIES, MAX_BYTES = 8, 2048
places = st.integers(0, CONNECTIONS - 1)
workers = st.integers(0, 1)


class Clock:
    """The module `time` of the workers. Each look takes a moment, so that a failure can be repeated."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.ahead = 0.0  # of the right time

    def monotonic(self) -> float:
        self.now += 0.001
        return self.now

    def time(self) -> float:
        return self.monotonic() + self.ahead


@dataclass
class Worker:
    """A process with its own keys, its own clock and its own knowledge of the servers."""

    snapshot: Snapshot
    ahead: float = 0.0  # seconds of its clock
    keys: tuple[str, ...] = ("old",)
    future_positions: transfer.FuturePositions = field(default_factory=transfer.FuturePositions)
    known: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BOTH, 0))  # replayed positions
    probe_begun_at: float | None = None


@dataclass
class Exchange:
    """A request under way, then the response on its way back."""

    worker: Worker
    context: RoutingContext
    tokens: Any
    own: int  # the newest write that its reads must show
    seen: int  # the newest rows that the client saw
    used: bool = False  # it read or wrote
    response: HttpResponse | None = None


class TwoTabs(RuleBasedStateMachine):
    """The browser, the workers and the servers."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.group = self.stack.enter_context(lagging(*BOTH))
        self.patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        self.patch.setattr(transfer, "_read_position", self.read_position)
        self.clock = Clock()
        for module in (published, consistency, tracking, transfer):
            self.patch.setattr(module, "time", self.clock)
        self.patch.setattr(settings, "SECRET_KEY", "old")
        self.patch.setattr(settings, "SECRET_KEY_FALLBACKS", [])
        self.patch.setattr(transfer, "_future_positions", None)
        self.workers = [Worker(self.group.snapshot), Worker(self.group.snapshot)]
        self.owner_answers = True
        self.written = 0
        self.replayed = dict.fromkeys(BOTH, 0)
        self.browser = Browser()
        self.exchanges: list[Exchange] = []
        self.own = self.seen = 0  # what the responses that have arrived wrote and showed

    def teardown(self) -> None:
        self.stack.close()

    def read_position(self, owner: str) -> Position | None:
        assert owner == "default"
        return at(self.written) if self.owner_answers else None

    @contextmanager
    def inside(self, worker: Worker) -> Iterator[None]:
        """Be this worker."""
        self.group.snapshot = worker.snapshot
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = worker.keys[0], [*worker.keys[1:]]
        transfer._future_positions = worker.future_positions
        self.clock.ahead = worker.ahead
        yield
        worker.snapshot = self.group.snapshot

    def publish(self, worker: Worker) -> None:
        self.group.replace_snapshot(Replica(each, "", at(worker.known[each])) for each in BOTH)

    @initialize(fallback=st.booleans(), ahead=st.sampled_from((0.0, -4.0, 4.0)))
    def begin(self, *, fallback: bool, ahead: float) -> None:
        """One worker has the new key, and may know the old one. Its clock may differ from the other's."""
        self.workers[1].keys = ("new", "old") if fallback else ("new",)
        self.workers[1].ahead = ahead
        for worker in self.workers:
            with self.inside(worker):
                self.publish(worker)

    @rule(
        alias=st.sampled_from(BOTH),
        everything=st.booleans(),
        answers=st.booleans(),
        seconds=st.sampled_from((0.0, 0.7, 6.0)),
    )
    def servers_go_on(self, alias: str, *, everything: bool, answers: bool, seconds: float) -> None:
        """Another client writes; a replica may replay everything before; the owner answers queries or does not."""
        self.clock.now += seconds
        if everything:
            self.replayed[alias] = self.written
        self.written += 1
        self.owner_answers = answers

    @rule(number=workers, everything=st.booleans())
    def worker_learns(self, number: int, *, everything: bool) -> None:
        """The worker gets the answer of the last probe of the owner, and begins the next one; it knows the replicas."""
        worker = self.workers[number]
        if everything:
            self.replayed = dict.fromkeys(BOTH, self.written)
        worker.known = dict(self.replayed)
        with self.inside(worker):
            if worker.probe_begun_at is not None:
                sampled(self.group, self.written, worker.probe_begun_at)
            self.publish(worker)
        worker.probe_begun_at = self.clock.monotonic()

    @precondition(lambda self: len(self.exchanges) < CONNECTIONS)
    @rule(number=workers, unsafe=st.booleans(), then=st.sampled_from(("write", "read", "")), ends=st.booleans())
    def request_begins(self, number: int, *, unsafe: bool, then: str, ends: bool) -> None:
        """A request begins, and perhaps it is over before any other event."""
        worker = self.workers[number]
        with self.inside(worker):
            context, tokens = _begin(self.browser.request("POST" if unsafe else "GET"))
        self.exchanges.append(Exchange(worker, context, tokens, self.own, self.seen))
        if then:
            (self.write if then == "write" else self.read)(self.exchanges[-1])
        if ends:
            self.end(self.exchanges[-1])
            self.arrive(self.exchanges[-1])

    def running(self) -> list[Exchange]:
        """Return the requests that have no response yet."""
        return [each for each in self.exchanges if each.response is None]

    def answered(self) -> list[Exchange]:
        """Return the exchanges whose response is on its way."""
        return [each for each in self.exchanges if each.response is not None]

    @precondition(running)
    @rule(place=places)
    def request_writes(self, place: int) -> None:
        self.write(chosen(self.running(), place))

    def write(self, exchange: Exchange) -> None:
        with self.inside(exchange.worker), activate(exchange.context):
            self.written += 1
            exchange.own, exchange.used = self.written, True
            record_write("default", INSERT)

    @precondition(running)
    @rule(place=places, breaks=st.booleans(), meanwhile=st.booleans())
    def request_reads(self, place: int, *, breaks: bool, meanwhile: bool) -> None:
        self.read(chosen(self.running(), place), breaks=breaks, meanwhile=meanwhile)

    def read(self, exchange: Exchange, *, breaks: bool = False, meanwhile: bool = False) -> None:
        """The request sees the writes that its client knows, and no older rows than its client saw."""
        with self.inside(exchange.worker), activate(exchange.context):
            alias = decide(User).alias
            if breaks and alias in BOTH:
                alias = fallback_alias(alias)
            if meanwhile:  # between the decision and the query
                sampled(self.group, self.written)
                self.written += 1
            record_read(alias)
        exchange.used = True
        shown = self.written if alias == "default" else self.replayed[alias]
        assert shown >= exchange.own, "the client misses its own write"
        if not exchange.context.unsafe_method:
            assert shown >= exchange.seen, "the client goes back in time"
            exchange.seen = shown

    @precondition(running)
    @rule(place=places, arrives=st.booleans())
    def request_ends(self, place: int, *, arrives: bool) -> None:
        exchange = chosen(self.running(), place)
        self.end(exchange)
        if arrives:
            self.arrive(exchange)

    def end(self, exchange: Exchange) -> None:
        """The response leaves. A static file has neither read nor written, and shared caches may keep it."""
        response = HttpResponse()
        if not exchange.used:
            response["Cache-Control"] = "max-age=60, public"
        with self.inside(exchange.worker), activate(exchange.context):
            _finish(exchange.context, exchange.tokens, response)
        exchange.response = response

    @precondition(answered)
    @rule(place=places)
    def response_arrives(self, place: int) -> None:
        self.arrive(chosen(self.answered(), place))

    def arrive(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        self.exchanges.remove(exchange)
        self.browser.receive(exchange.response)
        self.own, self.seen = max(self.own, exchange.own), max(self.seen, exchange.seen)

    @invariant()
    def cookies_are_few_and_small(self) -> None:
        assert len(self.browser.tokens()) <= MAX_COOKIES
        assert self.browser.token_bytes() <= MAX_BYTES


def chosen(exchanges: list[Exchange], place: int) -> Exchange:
    return exchanges[place % len(exchanges)]
