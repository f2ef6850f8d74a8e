"""Count connections and transactions by alias."""

from typing import Any

from switchyard.routing.connections import events
from switchyard.telemetry import counters, metrics


def install() -> None:
    """Count every connection and transaction from now on. A second call changes nothing."""
    for signal, receiver in (
        (events.connection_opened, _count_opened),
        (events.connection_closed, _count_closed),
        (events.connection_failed, _count_failed),
        (events.transaction_ended, _count_transaction),
    ):
        signal.connect(receiver, dispatch_uid=f"switchyard.telemetry.counting.connection_counter.{receiver.__name__}")


def _count_opened(*, alias: str, **_signal: Any) -> None:
    counters.count(metrics.CONNECTIONS_OPENED, alias)


def _count_closed(*, alias: str, **_signal: Any) -> None:
    counters.count(metrics.CONNECTIONS_CLOSED, alias)


def _count_failed(*, alias: str, error: BaseException, **_signal: Any) -> None:
    # The pool is exhausted: no connection was tried, and the server may be well.
    waited = type(error).__module__.startswith("psycopg_pool")
    counters.count(metrics.POOL_TIMEOUTS if waited else metrics.CONNECTION_ERRORS, alias)


def _count_transaction(*, alias: str, committed: bool, seconds: float | None, **_signal: Any) -> None:
    counters.count(metrics.TRANSACTIONS, alias, "commit" if committed else "rollback")
    if seconds is not None:
        counters.current().observe(metrics.TRANSACTION_DURATION, alias, value=seconds)
