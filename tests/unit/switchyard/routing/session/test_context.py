"""The routing context in force, and the required positions of a consistency state."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from math import inf

import pytest
from asgiref.sync import sync_to_async
from tests.support.published import at, consistency_from, lagging, sampled

from switchyard.routing.session import context
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition
from switchyard.routing.session.context import RoutingContext, activate, current, is_process_context, pop, push
from switchyard.routing.session.iteration import aiterate_in_context, iterate_in_context
from switchyard.routing.topology.replication import Shutdown


@dataclass(eq=False)
class Connection:
    """A connection with an open transaction, as far as `connection_state` reads it."""

    in_atomic_block: bool = True
    autocommit: bool = False
    connection: object | None = field(default_factory=object)


def test_current__outside_requests() -> None:
    """The context of the process is in force, without any override."""
    found = current()

    assert is_process_context(found)
    assert found.is_default
    assert not found.in_request


def test_push__derived_context() -> None:
    """The derived context shares the consistency state and changes only the given fields; pop() restores the parent."""
    with activate(context.request_context(unsafe_method=True)) as first:
        push(first.derive(preference="replica", sticky=False))
        second = current()
        pop()

        assert current() is first

    assert second.consistency is first.consistency
    assert (second.unsafe_method, second.in_request, second.preference, second.sticky) == (True, True, "replica", False)
    assert (first.preference, first.sticky) == ("", True)


def test_pop__context_of_the_process() -> None:
    """The context of the process stays in force."""
    pop()

    assert is_process_context(current())


def test_activate__error_with_pushed_contexts() -> None:
    """The caller's context is in force again, whatever was pushed in the block."""
    before = current()
    with pytest.raises(ZeroDivisionError), activate(context.request_context()):  # noqa: PT012 - the error leaves the pushed contexts
        push(current().derive(preference="primary"))
        push(current().derive(preference="replica"))
        raise ZeroDivisionError

    assert current() is before


def test_request_context__inside_overrides() -> None:
    """A request has its own consistency state and none of the overrides around it."""
    push(current().derive(preference="primary", write_allowed=frozenset({"legacy"})))
    try:
        found = context.request_context()
    finally:
        pop()

    assert (found.preference, found.write_allowed, found.parent) == ("", frozenset(), None)
    assert found.in_request
    assert not is_process_context(found)


def test_task_context__requires_nothing() -> None:
    """A task is not a request, and requires nothing at first."""
    found = context.task_context()

    assert not found.in_request
    assert not is_process_context(found)
    assert not found.consistency.required


def test_activate__await_and_threads() -> None:
    """A child task and a thread of `sync_to_async` have the context of their request."""

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


def test_activate__new_thread() -> None:
    """A thread of its own does not have the context of the request."""
    found = []
    with activate(context.request_context()):
        thread = threading.Thread(target=lambda: found.append(current()))
        thread.start()
        thread.join()

    assert is_process_context(found[0])


def test_iterate_in_context__every_step() -> None:
    """Each step and the end run in the context; the work of the consumer does not."""
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


def test_iterate_in_context__closed_early() -> None:
    """The end of an iterator that is closed early runs in the context."""
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


def test_iterate_in_context__error() -> None:
    """An error of a step reaches the consumer, and the context does not stay in force."""

    def generator() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(iterate_in_context(generator(), lambda: push(context.request_context())))

    assert is_process_context(current())


def test_aiterate_in_context__every_step() -> None:
    """Each step runs in the context, also a step that awaits, and the end of an iterator that is closed early."""
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


def test_required_position__without_a_sample() -> None:
    """Before the first sample of the owner the position of a write stays pending."""
    with lagging("replica"):
        consistency = consistency_from({"default": PendingPosition(inf)})

        assert type(consistency.required_position("default")) is PendingPosition


def test_required_position__sample_begun_before_the_write() -> None:
    """Only a sample that begins after the write resolves its position."""
    with lagging("replica") as group:
        consistency = ConsistencyState()
        written = time.monotonic()
        consistency.require("default", PendingPosition(written))
        sampled(group, 7, written)
        assert type(consistency.required_position("default")) is PendingPosition
        sampled(group, 8)

        assert consistency.required_position("default") == at(8)
        assert consistency.required["default"] == at(8)


def test_required_position__write_at_an_unknown_time() -> None:
    """No sample resolves the position."""
    with lagging("replica") as group:
        consistency = ConsistencyState()
        consistency.require("default", PendingPosition(inf))
        sampled(group, 8)

        assert type(consistency.required_position("default")) is PendingPosition


@pytest.mark.parametrize(("written_at", "resolved"), [(3.0, True), (5.0, False), (inf, False)])
def test_required_position__after_a_shutdown(written_at: float, *, resolved: bool) -> None:
    """A write before the promotion is included in all that the owner's server had written; a later write is not."""
    with lagging("replica") as group:
        consistency = consistency_from({"default": PendingPosition(written_at)})
        group.replace_snapshot(unavailable_reason="down", shutdown=Shutdown(2.0))
        assert type(consistency.required_position("default")) is PendingPosition
        group.replace_snapshot(shutdown=Shutdown(2.0, 4.0, at(7)))

        assert (consistency.required_position("default") == at(7)) is resolved


def test_required_position__open_transaction() -> None:
    """Only a sample after the COMMIT resolves the position of a write in a transaction."""
    connection = Connection()
    with lagging("replica") as group:
        consistency = ConsistencyState()
        consistency.require("default", PendingPosition(time.monotonic(), connection))
        sampled(group, 7)
        assert type(consistency.required_position("default")) is PendingPosition
        connection.in_atomic_block = False
        assert type(consistency.required_position("default")) is PendingPosition  # the COMMIT is on its way
        connection.autocommit = True
        assert type(consistency.required_position("default")) is PendingPosition  # the sample is older than the COMMIT
        sampled(group, 8)

        assert consistency.required_position("default") == at(8)


def test_required_position__connection_lost_in_a_transaction() -> None:
    """The transaction of a lost connection is over."""
    connection = Connection(in_atomic_block=False, connection=None)
    with lagging("replica") as group:
        consistency = ConsistencyState()
        consistency.require("default", PendingPosition(time.monotonic(), connection))
        consistency.required_position("default")
        sampled(group, 8)

        assert consistency.required_position("default") == at(8)


def test_require__read_of_the_owner_beside_a_transaction() -> None:
    """A later requirement does not resolve the write of a transaction that is still open."""
    connection = Connection()
    with lagging("replica") as group:
        consistency = ConsistencyState()
        consistency.require("default", PendingPosition(time.monotonic(), connection))
        consistency.require("default", PendingPosition(time.monotonic()))
        sampled(group, 7)
        assert type(consistency.required_position("default")) is PendingPosition
        connection.in_atomic_block, connection.autocommit = False, True
        consistency.required_position("default")
        sampled(group, 8)

        assert consistency.required_position("default") == at(8)


def test_required_position__write_during_a_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later write stays required while an earlier write gets its position."""
    later = PendingPosition(inf)
    with lagging("replica"):
        consistency = consistency_from({"default": PendingPosition(inf)})

        def position(_self: PendingPosition, _owner: str) -> object:
            consistency.require("default", later)
            return at(8)

        monkeypatch.setattr(PendingPosition, "resolve", position)
        consistency.required_position("default")

    assert consistency.required["default"] is later


def test_require__after_reads_of_replicas() -> None:
    """The position of the write covers earlier reads, so the client may change its replica."""
    consistency = consistency_from({}, {"default": "replica", "analytics": "other"})
    consistency.require("default", PendingPosition(0))

    assert consistency.last_replica == {"analytics": "other"}


def test_consistency_from__positions_and_replicas() -> None:
    """The positions are required, and the replica read last is kept."""
    consistency = consistency_from({"default": at(5)}, {"default": "replica"})

    assert consistency.required == {"default": at(5)}
    assert consistency.last_replica == {"default": "replica"}
