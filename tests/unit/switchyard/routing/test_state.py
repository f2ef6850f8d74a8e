"""Overrides: they nest, restore what was, and hold in threads and tasks that they were made in."""

import asyncio

import pytest

from switchyard.routing import allow_writes, state, use_primary
from switchyard.routing.errors import AllowWritesError
from switchyard.routing.state import may_write, reads_primary


def test_use_primary__nested_and_left_by_an_error() -> None:
    """The inner block leaves the outer one in force, and the outer one leaves nothing."""
    with pytest.raises(ZeroDivisionError), use_primary():  # noqa: PT012 - the state between the blocks is the point
        with use_primary():
            assert reads_primary()
        assert reads_primary()
        raise ZeroDivisionError

    assert not reads_primary()


def test_use_primary__one_object_entered_twice() -> None:
    """A block object can be entered again inside itself."""
    block = use_primary()
    with block, block:
        assert reads_primary()

    assert not reads_primary()


def test_use_primary__as_a_decorator() -> None:
    """A decorated function reads the owner while it runs, and keeps its name."""

    @use_primary()
    def decorated(number: int) -> tuple[int, bool]:
        return number, reads_primary()

    assert (decorated(3), decorated.__name__, reads_primary()) == ((3, True), "decorated", False)


def test_use_primary__as_a_decorator_of_an_async_function() -> None:
    """It holds across `await`, and not for a task that runs meanwhile."""

    async def both() -> tuple[bool, bool]:
        entered, done = asyncio.Event(), asyncio.Event()

        @use_primary()
        async def decorated() -> bool:
            entered.set()
            await done.wait()
            return reads_primary()

        async def other() -> bool:
            await entered.wait()
            try:
                return reads_primary()
            finally:
                done.set()

        first, second = await asyncio.gather(decorated(), other())
        return first, second

    assert asyncio.run(both()) == (True, False)


def test_allow_writes__nested() -> None:
    """Each block adds its alias and takes away only what it added."""
    with allow_writes("a", reason="a test"):
        with allow_writes("b", reason="a test"), allow_writes("a", reason="a test"):
            assert (may_write("a"), may_write("b")) == (True, True)
        assert (may_write("a"), may_write("b")) == (True, False)

    assert not may_write("a")


def test_allow_writes__inside_a_request() -> None:
    """It is refused with its reason in the error."""
    with state.request(), pytest.raises(AllowWritesError, match=r'"tidy up"\)` was refused inside a request'):
        allow_writes("legacy", reason="tidy up").__enter__()


def test_request__begins_and_ends_without_overrides() -> None:
    """What was in force outside is not in force in the request, and is again after it."""
    with use_primary(), allow_writes("a", reason="a test"):
        with state.request():
            assert (reads_primary(), may_write("a")) == (False, False)
        assert (reads_primary(), may_write("a")) == (True, True)
