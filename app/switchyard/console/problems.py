"""What is wrong on an alias now: one table of faults, each with the sentence that tells people of it. No I/O.

The page lists the faults at its top. To add one, add a line to RULES and a function that returns its sentence.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from switchyard.console.aliases import LEVELS
from switchyard.console.explanations import EXPLANATIONS
from switchyard.console.load import latency_seconds
from switchyard.routing.selection.rules import RULES as RULES_FOR_READS
from switchyard.routing.topology.ownership import replicas_of
from switchyard.telemetry.metrics import OPERATIONS
from switchyard.telemetry.recent.entries import Entry
from switchyard.telemetry.recent.history import Recording
from switchyard.templatetags.console_formats import duration, percent

SPAN_SECONDS = 30
# Shorter: in a fault that slows clients down, the few slow calls must not drown in the many quick ones before.
SLOW_SPAN_SECONDS = 5
SLOW_SECONDS = 0.5  # which 5 % of the calls exceed
UNUSUAL_SECONDS, UNUSUAL_FACTOR = 0.1, 5.0  # or these, if the alias is usually quicker
USUAL_INTERVALS = 12
FAILED_SHARE = 0.05  # of the calls, as in the alert SwitchyardErrorRatioHigh
FELL_BACK_SHARE = 0.2  # of an owner's reads, as in the alert SwitchyardReadsFellBack


@dataclass(frozen=True)
class Problem:
    """A fault on an alias, in two or three words, and a sentence about it. The level is warning or error."""

    fault: str
    level: str
    text: str


@dataclass(frozen=True)
class Facts:
    """What is known of one alias. `violations` are those on it, the newest first."""

    alias: str
    state: str
    recording: Recording
    pool: Mapping[str, int] | None = None
    pending_migrations: int | None = None
    violations: Sequence[Entry] = ()
    states_elsewhere: Mapping[str, Sequence[str]] = field(default_factory=dict)  # the state, and pods that see it
    has_unfit_replica: bool = False


def problems(facts: Facts) -> Iterator[Problem]:
    """Yield what is wrong with the server of the alias, and then what is wrong with the work on it."""
    level = LEVELS.get(facts.state, "error")
    if level in {"warning", "error"}:
        yield Problem(facts.state, level, EXPLANATIONS[facts.state])
    for fault, sentence in RULES.items():
        if text := sentence(facts):
            yield Problem(fault, "warning", text)


def _state_elsewhere(facts: Facts) -> str:
    elsewhere = "; ".join(
        f"in {'pod' if len(pods) == 1 else 'pods'} {', '.join(pods)} it is {state}"
        for state, pods in facts.states_elsewhere.items()
    )
    return f"The server is {facts.state} in this pod; {elsewhere}." if elsewhere else ""


def _pending_migrations(facts: Facts) -> str:
    if not (pending := facts.pending_migrations):
        return ""
    return f"{pending} {'migration is' if pending == 1 else 'migrations are'} not applied."


def _exhausted_pool(facts: Facts) -> str:
    sentences = []
    if (pool := facts.pool) and (waiting := pool["pending_requests"]):
        threads = "thread waits" if waiting == 1 else "threads wait"
        used = f"{pool['used']} of {pool['max']} connections of the pools are in use"
        sentences.append(f"{waiting} {threads} for a connection: {used}.")
    if timeouts := _added(facts, "pool_timeouts"):
        sentences.append(
            f"{timeouts:.0f} times in the last {SPAN_SECONDS} seconds a thread waited for a connection of the pool and"
            " got none."
        )
    return " ".join(sentences)


def _failing_connections(facts: Facts) -> str:
    errors = _added(facts, "connection_errors")
    return f"{errors:.0f} connections could not be opened in the last {SPAN_SECONDS} seconds." if errors else ""


def _failing_calls(facts: Facts) -> str:
    calls = sum(_added(facts, "queries", operation) for operation in OPERATIONS)
    failed = _added(facts, "failures")
    if not calls or failed / calls <= FAILED_SHARE:
        return ""
    return f"{percent(failed / calls)} of the calls of the last {SPAN_SECONDS} seconds failed."


def _slow_calls(facts: Facts) -> str:
    now = _p95(facts.recording, facts.alias)
    if now is None or now <= UNUSUAL_SECONDS:
        return ""
    usual = _usual_p95(facts.recording, facts.alias)
    if now <= SLOW_SECONDS and (usual is None or now < UNUSUAL_FACTOR * usual):
        return ""
    compared = "" if usual is None else f"; usually {duration(usual)}"
    return f"5 % of the calls of the last seconds took longer than {duration(now)}{compared}."


def _violation(facts: Facts) -> str:
    if not facts.violations or facts.violations[0]["at"] <= facts.recording.newest.at - SPAN_SECONDS:
        return ""
    newest = facts.violations[0]
    return f"{newest['kind']}: {newest['reason']}" + (f" Place: {newest['place']}." if newest["place"] else "")


def _reads_fell_back(facts: Facts) -> str:
    span = facts.recording.last(SLOW_SPAN_SECONDS)
    if facts.has_unfit_replica or span is None:  # the replica is in the list, and is the cause
        return ""
    fell_back = span.added.get(("decisions", facts.alias, "read", "down"), 0.0)
    reads = sum(
        span.added.get(("decisions", alias, "read", rule.name), 0.0)
        for alias in (facts.alias, *replicas_of(facts.alias))
        for rule in RULES_FOR_READS
    )
    if not reads or fell_back / reads <= FELL_BACK_SHARE:
        return ""
    return f"{percent(fell_back / reads)} of the reads of the last seconds ran here because no replica was fit."


RULES: Mapping[str, Callable[[Facts], str]] = {
    "not the same in all pods": _state_elsewhere,
    "pending migrations": _pending_migrations,
    "exhausted pool": _exhausted_pool,
    "failing connections": _failing_connections,
    "failing calls": _failing_calls,
    "slow calls": _slow_calls,
    "violation": _violation,
    "reads fell back": _reads_fell_back,
}


def _added(facts: Facts, kind: str, *labels: str) -> float:
    span = facts.recording.last(SPAN_SECONDS)
    return span.added.get((kind, facts.alias, *labels), 0.0) if span else 0.0


def _p95(recording: Recording, alias: str) -> float | None:
    """Return what 5 % of the calls of the last seconds exceeded; None with one call, which is no pattern."""
    span = recording.last(SLOW_SPAN_SECONDS)
    calls = sum(count for column, count in span.added.items() if column[:2] == ("durations", alias)) if span else 0.0
    latency = latency_seconds(recording, alias, SLOW_SPAN_SECONDS)
    return latency["p95"] if latency and calls > 1 else None


def _usual_p95(recording: Recording, alias: str) -> float | None:
    """Return the median of what 5 % of the calls exceeded in each interval; None with less than a minute of calls.

    A fault that is shorter than half of the history does not change a median.
    """
    intervals = (Recording(recording.columns, [before], after) for before, after in pairwise(recording.samples))
    found = [latency["p95"] for each in intervals if (latency := latency_seconds(each, alias, 0.0)) and latency["p95"]]
    return median(found) if len(found) >= USUAL_INTERVALS else None
