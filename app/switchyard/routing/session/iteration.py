"""Iterators that keep their own routing context: generators and streaming bodies run between their consumer's steps."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

from switchyard.routing.session.context import RoutingContext, activate, current, push


@contextmanager
def _step(saved: list[RoutingContext], enter: Callable[[], object]) -> Iterator[None]:
    """Activate the iterator's saved context for one step (first step: call `enter()`), then restore the caller's."""
    with activate(current()):
        if saved:
            push(saved.pop())
        else:
            enter()
        try:
            yield
        finally:
            saved.append(current())


def iterate_in_context[Item](steps: Iterator[Item], enter: Callable[[], object]) -> Iterator[Item]:
    """Yield the items of the iterator; each step runs in the iterator's context, the consumer runs in its own.

    `enter()` pushes the iterator's first context. A block that the iterator enters holds until the iterator leaves it.
    """
    saved: list[RoutingContext] = []
    try:
        while True:
            with _step(saved, enter):
                try:
                    item = next(steps)
                except StopIteration:
                    return
            yield item
    finally:
        if saved and (close := getattr(steps, "close", None)) is not None:
            with _step(saved, enter):
                close()


async def aiterate_in_context[Item](steps: AsyncIterator[Item], enter: Callable[[], object]) -> AsyncIterator[Item]:
    """Yield the items of the async iterator, as `iterate_in_context()` does."""
    saved: list[RoutingContext] = []
    try:
        while True:
            with _step(saved, enter):
                try:
                    item = await anext(steps)
                except StopAsyncIteration:
                    return
            yield item
    finally:
        if saved and (close := getattr(steps, "aclose", None)) is not None:
            with _step(saved, enter):
                await close()
