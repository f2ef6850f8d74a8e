"""Count where the routers send what, and by which rule."""

from collections.abc import Callable

from switchyard.routing.decision import Decision, decision_counter
from switchyard.telemetry import counters, families


def install() -> None:
    """Count every decision from now on."""
    decision_counter.count = counter(counters.current())
    decision_counter.thread_local = counters.current().thread


def counter(to: counters.Counters) -> Callable[[Decision], None]:
    """Return what counts a decision, and notes on it where: the routers add to that cell themselves from then on."""

    def count(decision: Decision) -> None:
        if decision.index is None:
            operation = families.WRITE if decision.rule == families.WRITE else "read"
            decision.index = to.layout.column(families.DECISIONS, decision.alias, (operation, decision.rule))
        to.cells()[decision.index] += 1.0

    return count
