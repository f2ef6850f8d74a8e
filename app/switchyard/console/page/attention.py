"""What needs attention now: the first thing that the page says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from switchyard.console.aliases import LEVELS
from switchyard.templatetags.console_formats import percent

type Data = Mapping[str, Any]

FELL_BACK_SHARE = 0.2  # of an owner's reads, as in the alert SwitchyardReadsFellBack


@dataclass(frozen=True)
class Finding:
    """One thing to look at: the alias, a level, and a text."""

    alias: str
    level: str
    text: str


def findings(data: Data) -> tuple[Finding, ...]:
    """Return what needs attention, errors first."""
    found = [*_of_aliases(data), *_of_decisions(data)]
    return tuple(sorted(found, key=lambda finding: finding.level != "error"))


def has_problem(alias: Data) -> bool:
    """Return True if something is wrong with the alias: with its server, or with the work on it."""
    return alias["level"] in {"warning", "error"}


def is_unfit(alias: Data) -> bool:
    """Return True if the server does not do its part. The work on a server that does can still have a problem."""
    return LEVELS.get(alias["state"]) not in {"good", "neutral"}


def _of_aliases(data: Data) -> Iterator[Finding]:
    for alias in data["aliases"]:
        if has_problem(alias):
            state = f"{alias['state']}. " if is_unfit(alias) else ""
            yield Finding(alias["alias"], alias["level"], state + alias["explanation"])


def _of_decisions(data: Data) -> Iterator[Finding]:
    for each in data["decisions"]:
        if each["reason"] == "down" and each["share"] > FELL_BACK_SHARE:
            text = f"{percent(each['share'])} of the reads of the last minute ran here because no replica was fit."
            yield Finding(each["alias"], "warning", text)
