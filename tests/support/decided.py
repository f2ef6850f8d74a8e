"""Which decisions the routers count, in a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from switchyard.routing.decision import Decision, tally


@contextmanager
def recorded() -> Iterator[list[Decision]]:
    """Yield a list that grows by every decision that is counted in this block."""
    before = tally.count, tally.thread
    decisions: list[Decision] = []
    tally.count, tally.thread = decisions.append, SimpleNamespace()
    try:
        yield decisions
    finally:
        tally.count, tally.thread = before
