"""The decisions that the routers count in a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from switchyard.routing.decision import Decision, decision_counter


@contextmanager
def recorded() -> Iterator[list[Decision]]:
    """Yield a list that collects each decision counted in this block."""
    before = decision_counter.count, decision_counter.thread_local
    decisions: list[Decision] = []
    decision_counter.count, decision_counter.thread_local = decisions.append, SimpleNamespace()
    try:
        yield decisions
    finally:
        decision_counter.count, decision_counter.thread_local = before
