"""Routing decisions as objects to count: each knows the cell that counts it.

Telemetry installs its counter here; without telemetry nothing is counted.
"""

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any


class Decision:
    """The alias of a read or write, and the name of the rule that chose it. One object for each such pair."""

    __slots__ = ("alias", "index", "may_defer", "rule")

    def __init__(self, alias: str, rule: str) -> None:
        self.alias = alias
        self.rule = rule
        self.may_defer = rule in {"owner", "down"}  # the next router, or Django, may give the same answer
        self.index: int | None = None  # of its cell in a thread's cells; None before the first count

    def __repr__(self) -> str:
        return f"Decision({self.alias!r}, {self.rule!r})"


@cache
def decision(alias: str, rule: str) -> Decision:
    """Return the one object for the pair."""
    return Decision(alias, rule)


class DecisionCounter:
    """Counters of routing decisions: a per-thread fast path, and a callback for all other cases."""

    __slots__ = ("count", "thread_local")

    def __init__(self) -> None:
        self.count: Callable[[Decision], None] = lambda _decision: None
        self.thread_local: Any = SimpleNamespace()  # `.cells` of the calling thread, once it counted something

    def add(self, decision: Decision) -> None:
        """Count the decision."""
        try:
            self.thread_local.cells[decision.index] += 1.0
        except (AttributeError, TypeError):  # the first decision of the thread, or the first of its kind
            self.count(decision)


decision_counter = DecisionCounter()
