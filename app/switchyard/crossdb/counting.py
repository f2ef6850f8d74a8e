"""Count the work across databases: executions, keys and seconds, by source, target and strategy."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from django.db.models import QuerySet

from switchyard.routing.topology.ownership import owner_of, replicated_by
from switchyard.telemetry import count
from switchyard.telemetry.counters import current
from switchyard.telemetry.metrics import CROSS_DATABASE_DURATION, CROSS_DATABASE_KEYS, CROSS_DATABASE_QUERIES


class Execution:
    """One execution of a query across databases."""

    def __init__(self, strategy: str) -> None:
        self.strategy = strategy
        self.keys = 0  # that the source has sent so far


@contextmanager
def counted(source: QuerySet[Any, Any], target: str, strategy: str) -> Iterator[Execution]:
    """Count the block as an execution on the target alias, unless its owner is that of the source.

    The block adds its keys, and may change the strategy. Failed executions count as well. No query and no decision of a
    router.
    """
    execution, began_at = Execution(strategy), perf_counter()
    try:
        yield execution
    finally:
        owners = owner_of_rows(source), replicated_by(target) or target
        if owners[0] != owners[1]:
            labels = (*owners, execution.strategy)
            count(CROSS_DATABASE_QUERIES, *labels)
            count(CROSS_DATABASE_KEYS, *labels, amount=execution.keys)
            current().observe(CROSS_DATABASE_DURATION, *labels, value=perf_counter() - began_at)


def owner_of_rows(queryset: Any) -> str:
    """Return the owner of the rows that the queryset reads. No decision of a router."""
    alias = queryset._db  # noqa: SLF001 - `db` would ask the routers, and they count their decisions
    return owner_of(queryset.model) if alias is None else replicated_by(alias) or alias
