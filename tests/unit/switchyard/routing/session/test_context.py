"""Frames and ledgers: what is in force where, and when what is owed gets a position."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from math import inf

import pytest
from asgiref.sync import sync_to_async
from tests.support.published import at, lagging, sampled

from switchyard.routing.session import context
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition, consistency_from
from switchyard.routing.session.context import RoutingContext, activate, current, is_process_context, pop, push
from switchyard.routing.session.iteration import aiterate_in_context, iterate_in_context


@dataclass(eq=False)
class Connection:
    """What tells that a transaction is open."""

    in_atomic_block: bool = True
    autocommit: bool = False
    connection: object | None = field(default_factory=object)


def test_current__outside_of_everything() -> None:
    """The process has one frame, which asks for nothing."""
    found = current()

    assert is_process_context(found)
    assert found.is_default
    assert not found.in_request


def test_push__another_frame() -> None:
    """It shares the ledger, changes what was asked for and nothing else, and leaves the one below in force."""
    with activate(context.request_context(unsafe_method=True)) as first:
        push(first.derive(preference="replica", sticky=False))
        second = current()
        pop()

        assert current() is first

    assert second.consistency is first.consistency
    assert (second.unsafe_method, second.in_request, second.preference, second.sticky) == (True, True, "replica", False)
    assert (first.preference, first.sticky) == ("", True)


def test_pop__the_last_frame() -> None:
    """The process's frame is never taken away."""
    pop()

    assert is_process_context(current())


def test_within__left_by_an_error_with_frames_on_it() -> None:
    """What was in force before is in force again, whatever was put on top meanwhile."""
    before = current()
    with pytest.raises(ZeroDivisionError), activate(context.request_context()):  # noqa: PT012 - the frames are left by the error
        push(current().derive(preference="primary"))
        push(current().derive(preference="replica"))
        raise ZeroDivisionError

    assert current() is before


def test_request__begins_with_nothing_from_outside() -> None:
    """It has its own ledger and none of the overrides around it."""
    push(current().derive(preference="primary", write_allowed=frozenset({"legacy"})))
    try:
        found = context.request_context()
    finally:
        pop()

    assert (found.preference, found.write_allowed, found.parent) == ("", frozenset(), None)
    assert found.in_request
    assert not is_process_context(found)


def test_task__is_no_request() -> None:
    """A task may allow writes, and owes nothing at first."""
    found = context.task_context()

    assert not found.in_request
    assert not is_process_context(found)
    assert not found.consistency.required


def test_within__survives_await_and_threads() -> None:
    """A child task and a thread of `sync_to_async` are of the same request."""

    async def seen() -> set[RoutingContext]:
        with activate(context.request_context()):
            return {
                current(),
                await asyncio.create_task(_current_later()),
                await sync_to_async(current)(),
                await sync_to_async(current, thread_sensitive=False)(),
                await asyncio.to_thread(current),
            }

    assert len(asyncio.run(seen())) == 1
    assert is_process_context(current())


async def _current_later() -> RoutingContext:
    await asyncio.sleep(0)
    return current()


def test_within__another_thread() -> None:
    """A thread that nobody gave the context to is of no request."""
    found = []
    with activate(context.request_context()):
        thread = threading.Thread(target=lambda: found.append(current()))
        thread.start()
        thread.join()

    assert is_process_context(found[0])


def test_stepwise__the_consumers_work_is_outside() -> None:
    """Each step, and the end, are made in the block; what happens between is not."""
    inside = context.request_context()
    steps: list[bool] = []

    def generator() -> Iterator[int]:
        try:
            for number in range(3):
                steps.append(current() is inside)
                yield number
        finally:
            steps.append(current() is inside)

    outside = [current() is inside for _ in iterate_in_context(generator(), lambda: push(inside))]

    assert steps == [True] * 4
    assert outside == [False] * 3


def test_stepwise__closed_before_its_end() -> None:
    """The iterator is closed in the block."""
    inside = context.request_context()
    closed: list[bool] = []

    def generator() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(current() is inside)

    steps = iterate_in_context(generator(), lambda: push(inside))
    next(steps)
    steps.close()  # type: ignore[attr-defined]  # a generator's

    assert closed == [True]
    assert is_process_context(current())


def test_stepwise__an_error_of_a_step() -> None:
    """It reaches the consumer, and nothing stays in force."""

    def generator() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(iterate_in_context(generator(), lambda: push(context.request_context())))

    assert is_process_context(current())


def test_stepwise_async__as_the_other() -> None:
    """Each step is made in the block, also one that awaits, and the end of a consumer that went away."""
    inside = context.request_context()
    steps: list[bool] = []

    async def generator() -> AsyncIterator[int]:
        try:
            for number in range(3):
                await asyncio.sleep(0)
                steps.append(current() is inside)
                yield number
        finally:
            steps.append(current() is inside)

    async def consume() -> list[bool]:
        wrapped = aiterate_in_context(generator(), lambda: push(inside))
        outside = [current() is inside async for number in wrapped if number < 3]
        half = aiterate_in_context(generator(), lambda: push(inside))
        await anext(half)
        await half.aclose()  # type: ignore[attr-defined]  # a generator's
        return outside

    assert asyncio.run(consume()) == [False] * 3
    assert steps == [True] * 6


def test_ledger__a_write_before_the_owner_was_sampled() -> None:
    """It has no position, and the ledger keeps it as it is."""
    with lagging("replica"):
        ledger = consistency_from({"default": None})

        assert type(ledger.required_position("default")) is PendingPosition


def test_ledger__a_sample_begun_before_the_write_ended() -> None:
    """It may not have the write: only one that began later bounds it."""
    with lagging("replica") as group:
        ledger = ConsistencyState()
        written = time.monotonic()
        ledger.require("default", PendingPosition(written))
        sampled(group, 7, written)
        assert type(ledger.required_position("default")) is PendingPosition
        sampled(group, 8)

        assert ledger.required_position("default") == at(8)
        assert ledger.required["default"] == at(8)


def test_ledger__a_write_that_nobody_knows_the_time_of() -> None:
    """No sample ever bounds it."""
    with lagging("replica") as group:
        ledger = ConsistencyState()
        ledger.require("default", PendingPosition(inf))
        sampled(group, 8)

        assert type(ledger.required_position("default")) is PendingPosition


def test_ledger__an_open_transaction() -> None:
    """What it wrote is there when it is over, not when it was written."""
    connection = Connection()
    with lagging("replica") as group:
        ledger = ConsistencyState()
        ledger.require("default", PendingPosition(time.monotonic(), connection))
        sampled(group, 7)
        assert type(ledger.required_position("default")) is PendingPosition
        connection.in_atomic_block = False
        assert type(ledger.required_position("default")) is PendingPosition  # COMMIT is on its way
        connection.autocommit = True
        assert type(ledger.required_position("default")) is PendingPosition  # the sample is from before
        sampled(group, 8)

        assert ledger.required_position("default") == at(8)


def test_ledger__a_connection_lost_in_its_transaction() -> None:
    """The transaction is over."""
    connection = Connection(in_atomic_block=False, connection=None)
    with lagging("replica") as group:
        ledger = ConsistencyState()
        ledger.require("default", PendingPosition(time.monotonic(), connection))
        ledger.required_position("default")
        sampled(group, 8)

        assert ledger.required_position("default") == at(8)


def test_ledger__a_read_of_the_owner_beside_an_open_transaction() -> None:
    """What is owed later does not settle the transaction that will yet be committed."""
    connection = Connection()
    with lagging("replica") as group:
        ledger = ConsistencyState()
        ledger.require("default", PendingPosition(time.monotonic(), connection))
        ledger.require("default", PendingPosition(time.monotonic()))
        sampled(group, 7)
        assert type(ledger.required_position("default")) is PendingPosition
        connection.in_atomic_block, connection.autocommit = False, True
        ledger.required_position("default")
        sampled(group, 8)

        assert ledger.required_position("default") == at(8)


def test_ledger__a_write_while_an_earlier_one_gets_its_position(monkeypatch: pytest.MonkeyPatch) -> None:
    """The later write stays owed."""
    later = PendingPosition(inf)
    with lagging("replica"):
        ledger = consistency_from({"default": None})

        def position(_self: PendingPosition, _owner: str) -> object:
            ledger.require("default", later)
            return at(8)

        monkeypatch.setattr(PendingPosition, "resolve", position)
        ledger.required_position("default")

    assert ledger.required["default"] is later


def test_ledger__what_was_read_before_a_write() -> None:
    """The write bounds it: no replica is kept to any more."""
    ledger = consistency_from({}, {"default": "replica", "analytics": "other"})
    ledger.require("default", PendingPosition(0))

    assert ledger.last_replica == {"analytics": "other"}


def test_owing__positions_and_replicas() -> None:
    """A position is owed as it is, none as one that nobody knows; the replica read last is kept beside it."""
    ledger = consistency_from({"default": at(5), "analytics": None}, {"default": "replica"})
    unknown = ledger.required["analytics"]

    assert ledger.required["default"] == at(5)
    assert isinstance(unknown, PendingPosition)
    assert unknown.written_at == inf
    assert ledger.last_replica == {"default": "replica"}
