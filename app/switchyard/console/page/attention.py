"""What needs attention now: the first thing that the page says. Reads the data of the page, and no database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from switchyard.templatetags.console_formats import duration, labelled, percent, rate

type Data = Mapping[str, Any]

SLOW_SECONDS = 1.0  # a p99 above this is slow, as in the alert SwitchyardQueriesSlow
FELL_BACK_SHARE = 0.2  # as in the alert SwitchyardReadsFellBack
RECENT_SECONDS = 300.0
FELL_BACK_REASONS = ("down",)


@dataclass(frozen=True)
class Finding:
    """One thing to look at: the alias, a level, and a sentence."""

    alias: str
    level: str
    text: str


def findings(data: Data) -> tuple[Finding, ...]:
    """Return what needs attention, errors first."""
    found = [finding for alias in data["aliases"] for finding in _of_alias(alias)]
    found += [*_of_decisions(data), *_of_violations(data)]
    return tuple(sorted(found, key=lambda finding: finding.level != "error"))


def latest(values: list[float | None]) -> float | None:
    """Return the newest known value of a series.

    >>> latest([1.0, 2.0, None])
    2.0
    """
    return next((value for value in reversed(values) if value is not None), None)


def _of_alias(alias: Data) -> Iterator[Finding]:
    name = alias["alias"]
    if alias["level"] in {"warning", "error"}:
        yield Finding(name, alias["level"], f"{alias['state']}. {alias['explanation']}")
    pool = alias["connections"]
    if pool and pool["waiting"]:
        waiting, full = pool["waiting"], f"{pool['used']} of {pool['max']} connections are in use"
        yield Finding(name, "error", f"pool exhausted. {full}, and {waiting} wait for one.")
    if alias["pending_migrations"]:
        yield Finding(name, "warning", f"pending migrations. {alias['pending_migrations']} are not applied.")
    if errors := latest(alias["errors_per_second"]):
        yield Finding(name, "error", f"errors. {rate(errors)} queries a second fail.")
    latency = alias["latency_seconds"]
    if latency and latency["p99"] > SLOW_SECONDS:
        yield Finding(name, "warning", f"slow. One of a hundred queries takes more than {duration(latency['p99'])}.")


def _of_decisions(data: Data) -> Iterator[Finding]:
    for each in data["decisions"]:
        if each["operation"] == "read" and each["reason"] in FELL_BACK_REASONS and each["share"] > FELL_BACK_SHARE:
            text = f"reads fell back. {percent(each['share'])} of the reads run here because no replica is fit."
            yield Finding(each["alias"], "warning", text)


def _of_violations(data: Data) -> Iterator[Finding]:
    """Yield one finding for each alias: how often each kind happened in the last minutes."""
    by_alias: dict[str, dict[str, int]] = {}
    for each in data["violations"]:
        if data["at"] - each["at"] < RECENT_SECONDS:
            kinds = by_alias.setdefault(each["alias"], {})
            kinds[each["kind"]] = kinds.get(each["kind"], 0) + each["count"]
    for alias, kinds in by_alias.items():
        yield Finding(alias, "error", f"violations. {labelled(kinds)} in the last 5 minutes.")
