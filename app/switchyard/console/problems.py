"""What is wrong on an alias whose server is well, each problem as a sentence for people. No I/O."""

from collections.abc import Iterator, Mapping, Sequence

from switchyard.console.load import latency_seconds
from switchyard.telemetry.metrics import OPERATIONS
from switchyard.telemetry.recent.entries import Entry
from switchyard.telemetry.recent.history import Recording

SPAN_SECONDS = 60
SLOW_SECONDS = 0.5  # which 5% of the calls exceed
FAILED_SHARE = 0.05  # of the calls, as in the alert SwitchyardErrorRatioHigh


def migration_problems(pending: int | None) -> Iterator[str]:
    """Yield that migrations are missing."""
    if pending:
        yield f"{pending} {'migration is' if pending == 1 else 'migrations are'} not applied."


def pool_problems(recording: Recording, alias: str, pool: Mapping[str, int] | None) -> Iterator[str]:
    """Yield that connections are missing: threads wait for one, or did not get one in the last minute."""
    if pool and pool["pending_requests"]:
        yield (
            f"{_threads(pool['pending_requests'])} for a connection: {pool['used']} of {pool['max']} connections of the"
            " pools are in use."
        )
    span = recording.last(SPAN_SECONDS)
    if span and (timeouts := span.added.get(("pool_timeouts", alias))):
        yield f"{timeouts:.0f} times in the last minute a thread waited for a connection of the pool and got none."
    if span and (errors := span.added.get(("connection_errors", alias))):
        yield f"{errors:.0f} connections could not be opened in the last minute."


def call_problems(recording: Recording, alias: str) -> Iterator[str]:
    """Yield that calls fail or are slow."""
    span = recording.last(SPAN_SECONDS)
    if span is None:
        return
    calls = sum(span.added.get(("queries", alias, operation), 0.0) for operation in OPERATIONS)
    failed = span.added.get(("failures", alias), 0.0)
    if calls and failed / calls > FAILED_SHARE:
        yield f"{failed / calls:.0%} of the calls of the last minute failed."
    latency = latency_seconds(recording, alias, SPAN_SECONDS)
    if latency and (slow := latency["p95"]) and slow > SLOW_SECONDS:
        yield f"5% of the calls of the last minute took longer than {slow:.1f} s."


def violation_problems(now: float, violations: Sequence[Entry]) -> Iterator[str]:
    """Yield the newest mistake of the program in the last minute. The violations are those on the alias."""
    if violations and violations[0]["at"] > now - SPAN_SECONDS:
        newest = violations[0]
        yield newest["reason"] + (f" Place: {newest['place']}." if newest["place"] else "")


def _threads(number: int) -> str:
    return f"{number} {'thread waits' if number == 1 else 'threads wait'}"
