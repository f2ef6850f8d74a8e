"""Count the decisions of the routers, by alias and rule."""

from switchyard.routing.decision import Decision, decision_counter
from switchyard.telemetry import counters, metrics


def install() -> None:
    """Count every decision from now on. A second call changes nothing."""
    decision_counter.count = count_decision
    decision_counter.thread_local = counters.current().thread_local


def count_decision(decision: Decision) -> None:
    """Count the decision, and keep the index of its cell: from then on the routers add to that cell themselves."""
    current = counters.current()
    if decision.index is None:
        operation = metrics.WRITE if decision.rule == metrics.WRITE else "read"
        decision.index = current.layout.index_of(metrics.DECISIONS, decision.alias, operation, decision.rule)
    current.cells()[decision.index] += 1.0
