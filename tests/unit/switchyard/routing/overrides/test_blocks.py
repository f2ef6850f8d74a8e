"""Overrides nest, restore the context before them, and hold in the threads and tasks that they are entered in."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from django.utils.connection import ConnectionDoesNotExist

from switchyard.routing import allow_writes, only, use_primary, use_replica, without_stickiness
from switchyard.routing.errors import AllowWritesError, violations
from switchyard.routing.session import context
from switchyard.routing.session.context import activate, current, is_process_context, may_move, writes_allowed


def prefers() -> str:
    return current().preference


def test_override__nested_and_left_by_an_error() -> None:
    """The end of the inner block restores the outer block, and the end of the outer block restores the default."""
    with pytest.raises(ZeroDivisionError), use_primary():  # noqa: PT012 - the state between the blocks is the point
        with use_replica():
            assert prefers() == "replica"
            with use_primary():
                assert prefers() == "primary"
            assert prefers() == "replica"
        assert prefers() == "primary"
        raise ZeroDivisionError

    assert is_process_context(current())
    assert prefers() == ""


def test_override__one_object_entered_twice() -> None:
    """A block object can be entered again inside itself."""
    block = use_primary()
    with block, block:
        assert prefers() == "primary"

    assert prefers() == ""


def test_override__each_changes_one_field() -> None:
    """An override keeps the changes of the overrides around it."""
    with use_replica(), without_stickiness(), allow_writes("legacy", reason="a test"):
        found = current()

    assert (found.preference, found.sticky, found.write_allowed) == ("replica", False, frozenset({"legacy"}))
    assert current().sticky


def test_only__nested() -> None:
    """Each block adds its alias, and its end takes the alias away."""
    with only("replica"):
        with only("legacy"):
            assert [may_move(alias) for alias in ("replica", "legacy", "default")] == [False, False, True]
        assert [may_move(alias) for alias in ("replica", "legacy")] == [False, True]

    assert may_move("replica")


def test_only__unknown_alias() -> None:
    """An alias that is not in DATABASES raises Django's error when the block begins, and changes nothing."""
    with pytest.raises(ConnectionDoesNotExist, match="'replca'"), only("replca"):
        pass

    assert is_process_context(current())


def test_override__decorated_function() -> None:
    """The override holds while the function runs, and the function keeps its name."""

    @use_primary()
    def decorated(number: int) -> tuple[int, str]:
        return number, prefers()

    assert (decorated(3), decorated.__name__, prefers()) == ((3, "primary"), "decorated", "")


def test_override__decorated_function_that_calls_itself() -> None:
    """Each call restores the context before it."""

    @use_primary()
    def decorated(depth: int) -> list[str]:
        return [*(decorated(depth - 1) if depth else []), prefers()]

    assert decorated(2) == ["primary"] * 3
    assert is_process_context(current())


def test_override__decorated_coroutine() -> None:
    """The override holds across `await`, and not in another task that runs meanwhile."""

    async def both() -> tuple[str, str]:
        entered, done = asyncio.Event(), asyncio.Event()

        @use_primary()
        async def decorated() -> str:
            entered.set()
            await done.wait()
            return prefers()

        async def other() -> str:
            await entered.wait()
            try:
                return prefers()
            finally:
                done.set()

        assert inspect.iscoroutinefunction(decorated)
        first, second = await asyncio.gather(decorated(), other())
        return first, second

    assert asyncio.run(both()) == ("primary", "")


def test_override__decorated_generator() -> None:
    """The override holds in each step and not in the consumer, also if the consumer stops early."""
    steps: list[str] = []

    @use_replica()
    def decorated() -> Iterator[int]:
        try:
            for number in range(5):
                steps.append(prefers())
                yield number
        finally:
            steps.append(prefers())

    outside = [prefers() for _ in decorated()]
    early = decorated()
    next(early)
    with use_primary():
        between = prefers()
        next(early)
        early.close()  # type: ignore[attr-defined]  # a generator's

    assert steps == ["replica"] * 9
    assert outside == [""] * 5
    assert between == "primary"
    assert is_process_context(current())


def test_override__decorated_generator_that_fails() -> None:
    """The consumer gets the error, and the override has ended."""

    @use_primary()
    def decorated() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(decorated())

    assert is_process_context(current())


def test_override__two_generators_in_turns() -> None:
    """Each keeps its own override, in whatever order they end."""

    @use_primary()
    def primary() -> Iterator[str]:
        while True:
            yield prefers()

    @use_replica()
    def replica() -> Iterator[str]:
        while True:
            yield prefers()

    first, second = primary(), replica()
    found = [next(first), next(second), prefers(), next(first), next(second), prefers()]
    first.close()  # type: ignore[attr-defined]  # a generator's
    found.append(next(second))
    second.close()  # type: ignore[attr-defined]  # as above

    assert found == ["primary", "replica", "", "primary", "replica", "", "replica"]
    assert is_process_context(current())


def test_override__a_block_inside_a_decorated_generator() -> None:
    """The block holds from step to step, and the consumer has neither of the two overrides."""
    steps: list[str] = []

    @use_primary()
    def decorated() -> Iterator[int]:
        with use_replica():
            for number in range(2):
                steps.append(prefers())
                yield number
        steps.append(prefers())

    outside = [prefers() for _ in decorated()]

    assert steps == ["replica", "replica", "primary"]
    assert outside == [""] * 2
    assert is_process_context(current())


def test_allow_writes__decorated_generator_inside_a_request() -> None:
    """The generator is refused at its first step."""

    @allow_writes("legacy", reason="tidy up")
    def decorated() -> Iterator[int]:
        yield 1

    with activate(context.request_context()), pytest.raises(AllowWritesError):
        list(decorated())


def test_override__decorated_async_generator() -> None:
    """The override holds in each step, also across `await`, and not in the consumer."""
    steps: list[str] = []

    @use_replica()
    async def decorated() -> AsyncIterator[int]:
        try:
            for number in range(3):
                await asyncio.sleep(0)
                steps.append(prefers())
                yield number
        finally:
            steps.append(prefers())

    async def consume() -> list[str]:
        outside = [prefers() async for _ in decorated()]
        early = decorated()
        await anext(early)
        await early.aclose()  # type: ignore[attr-defined]  # a generator's
        return [*outside, prefers()]

    assert asyncio.run(consume()) == [""] * 4
    assert steps == ["replica"] * 6


def test_override__one_object_in_many_threads() -> None:
    """Each thread enters and leaves the object independently."""
    block, found, barrier = use_primary(), [], threading.Barrier(8)

    def enter(*, enters: bool) -> None:
        barrier.wait()
        for _ in range(200):
            if enters:
                with block:
                    found.append((prefers(), "primary"))
            found.append((prefers(), ""))

    threads = [threading.Thread(target=enter, kwargs={"enters": bool(number % 2)}) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8 * 200 + 4 * 200
    assert all(seen == expected for seen, expected in found)


def test_override__one_object_in_many_tasks() -> None:
    """Tasks that take turns inside the object do not change the context of each other."""
    block = use_primary()

    async def enter(*, enters: bool) -> list[str]:
        seen = []
        for _ in range(20):
            if enters:
                with block:
                    await asyncio.sleep(0)
                    seen.append(prefers())
            await asyncio.sleep(0)
            seen.append(prefers())
        return seen

    async def all_of_them() -> list[list[str]]:
        return await asyncio.gather(*(enter(enters=bool(number % 2)) for number in range(20)))

    found = asyncio.run(all_of_them())

    assert found == [["", *[""] * 19], ["primary", ""] * 20] * 10


def test_override__a_child_task_that_outlives_it() -> None:
    """The task keeps the override in force where it was created."""

    async def outlived() -> tuple[str, str]:
        left = asyncio.Event()

        async def child() -> str:
            await left.wait()
            return prefers()

        with use_primary():
            task = asyncio.create_task(child())
            await asyncio.sleep(0)
        left.set()
        return prefers(), await task

    assert asyncio.run(outlived()) == ("", "primary")


def test_override__shares_the_consistency_state() -> None:
    """All overrides of a request share its consistency state."""
    with activate(context.request_context()) as outer, without_stickiness(), use_replica():
        assert current().consistency is outer.consistency


def test_allow_writes__nested() -> None:
    """Each block adds its alias, and its end removes only the alias that it added."""
    with allow_writes("analytics", reason="a test"):
        with allow_writes("legacy", reason="a test"), allow_writes("analytics", reason="a test"):
            assert (writes_allowed("analytics"), writes_allowed("legacy")) == (True, True)
        assert (writes_allowed("analytics"), writes_allowed("legacy")) == (True, False)

    assert not writes_allowed("analytics")


def test_allow_writes__inside_a_request() -> None:
    """allow_writes() is refused with its reason in the error, is counted, and allows nothing."""
    counted: list[str] = []

    def count(*, kind: str, alias: str, **_: object) -> None:
        counted.append(f"{kind} {alias}")

    violations.connect(count)
    with activate(context.request_context()):
        with pytest.raises(AllowWritesError, match=r'"tidy up"\)` was refused inside a request'):
            allow_writes("legacy", reason="tidy up").__enter__()
        assert not writes_allowed("legacy")
    violations.disconnect(count)

    assert counted == ["read_only_owner_write legacy"]


def test_allow_writes__inside_an_override_of_a_request() -> None:
    """allow_writes() is refused inside another override of a request too."""
    with activate(context.request_context()), use_primary(), pytest.raises(AllowWritesError):
        allow_writes("legacy", reason="tidy up").__enter__()


def test_allow_writes__in_a_task() -> None:
    """A task may allow writes."""
    with activate(context.task_context()), allow_writes("legacy", reason="a test"):
        assert writes_allowed("legacy")


def test_request__begins_and_ends_without_overrides() -> None:
    """A request does not inherit overrides; they are in force again after it."""
    with use_primary(), allow_writes("analytics", reason="a test"):
        with activate(context.request_context()):
            assert (prefers(), writes_allowed("analytics")) == ("", False)
        assert (prefers(), writes_allowed("analytics")) == ("primary", True)


def test_allow_writes__unknown_alias() -> None:
    """An alias that is not in DATABASES is refused, and the error names the aliases that are."""
    block = allow_writes("no", reason="a test")
    with pytest.raises(ConnectionDoesNotExist, match=r"no alias 'no'\. Name one of: default"), block:
        pass
