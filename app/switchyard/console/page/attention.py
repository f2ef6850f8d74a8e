"""What needs attention now: the first thing that the page says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from switchyard.console.aliases import LEVELS
from switchyard.templatetags.console_formats import duration

type Data = Mapping[str, Any]

WAITING_SECONDS = 15 * 60  # as in the alert SwitchyardTombstonesWaiting


@dataclass(frozen=True)
class Finding:
    """One thing to look at: where it is, what is wrong in two or three words and in a sentence, and since when."""

    where: str  # an alias, a reference, or a pod
    fault: str
    level: str
    text: str
    since: float | None = None  # Unix time; None if nobody knows


def findings(data: Data) -> tuple[Finding, ...]:
    """Return what needs attention, errors first."""
    found = [*_of_aliases(data), *_of_references(data), *_of_pods(data)]
    return tuple(sorted(found, key=lambda finding: finding.level != "error"))


def has_problem(alias: Data) -> bool:
    """Return True if something is wrong with the alias: with its server, or with the work on it."""
    return alias["level"] in {"warning", "error"}


def is_unfit(alias: Data) -> bool:
    """Return True if the server does not do its part. The work on a server that does can still have a problem."""
    return LEVELS.get(alias["state"]) not in {"good", "neutral"}


def _of_aliases(data: Data) -> Iterator[Finding]:
    for alias in data["aliases"]:
        for each in alias["problems"]:
            yield Finding(alias["alias"], each["fault"], each["level"], each["text"], each["since"])


def _of_references(data: Data) -> Iterator[Finding]:
    for each in data["references"]:
        if not each["target"]:
            text = (
                f"Tombstones of this reference on {each['source']}: {each['waiting'] + each['set_aside']}. No installed"
                " model records these deletions, so no worker takes them. The command crossdb_references says what to"
                " do."
            )
            yield Finding(each["reference"], "unknown reference", "warning", text)
            continue
        if set_aside := each["set_aside"]:
            parents = "deleted parent was" if set_aside == 1 else "deleted parents were"
            text = f"{set_aside} {parents} set aside after failed attempts, and the children are still there."
            yield Finding(each["reference"], "set aside", "warning", text)
        if each["waiting"] and each["oldest_age_seconds"] > WAITING_SECONDS:
            text = (
                f"Deleted parents whose children are still to be reached: {each['waiting']}. The oldest one has waited"
                f" for {duration(each['oldest_age_seconds'])}."
            )
            yield Finding(each["reference"], "deletions wait", "warning", text)


def _of_pods(data: Data) -> Iterator[Finding]:
    for each in data["pods"]:
        if not each["answers"]:
            text = "The numbers on this page do not hold what it has counted."
            if each["worker"]:
                text = f"It does not report the deletions that wait in references across databases. {text}"
            yield Finding(f"{'worker' if each['worker'] else 'pod'} {each['pod']}", "does not answer", "warning", text)
    if not data["pods_found"]:
        text = (
            "A name of CONSOLE_PEERS has no address, so pods of the service, or of its worker of references, may be"
            " missing on this page."
        )
        yield Finding("pods", "cannot be found", "warning", text)
