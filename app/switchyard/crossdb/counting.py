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

    def __init__(self) -> None:
        self.keys = 0  # that the source has sent so far


@contextmanager
def counted(source: QuerySet[Any, Any], target: QuerySet[Any, Any], strategy: str) -> Iterator[Execution]:
    """Count the block as an execution, unless both querysets have one owner; the block adds its keys.

    Failed executions count as well. No query and no decision of a router.
    """
    execution, began_at = Execution(), perf_counter()
    try:
        yield execution
    finally:
        labels = _owner_of_rows(source), _owner_of_rows(target), strategy
        if labels[0] != labels[1]:
            count(CROSS_DATABASE_QUERIES, *labels)
            count(CROSS_DATABASE_KEYS, *labels, amount=execution.keys)
            current().observe(CROSS_DATABASE_DURATION, *labels, value=perf_counter() - began_at)


def _owner_of_rows(queryset: Any) -> str:
    alias = queryset._db  # noqa: SLF001 - `db` would ask the routers, and they count their decisions
    return owner_of(queryset.model) if alias is None else replicated_by(alias) or alias
