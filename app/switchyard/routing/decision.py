"""Decisions as things to count: one object each, that knows where it is counted.

Telemetry puts its counter here; without it nothing is counted.
"""

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any


class Decision:
    """The alias of a read and the name of the rule that chose it. There is one object for each such pair."""

    __slots__ = ("alias", "column", "left", "rule")

    def __init__(self, alias: str, rule: str) -> None:
        self.alias = alias
        self.rule = rule
        self.left = rule in {"owner", "down"}  # to the next router, where that comes to the same
        self.column: int | None = None  # of the calling thread's cells; unknown until it was counted once

    def __repr__(self) -> str:
        return f"Decision({self.alias!r}, {self.rule!r})"


@cache
def decision(alias: str, rule: str) -> Decision:
    """Return the one object for the pair."""
    return Decision(alias, rule)


class Tally:
    """The calling thread's cells, for a decision that has its column, and what counts any other."""

    __slots__ = ("count", "thread")

    def __init__(self) -> None:
        self.count: Callable[[Decision], None] = lambda _decision: None
        self.thread: Any = SimpleNamespace()  # `.cells`, once the thread has some


tally = Tally()
