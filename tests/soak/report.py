"""The report of a soak: build/soak.json for machines, a table for people, and what was not as it should be."""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from tests.e2e.cluster import ROOT
from tests.soak.answers import NONE, Answer, counted
from tests.soak.soak import Happened, Soaked

FILE = ROOT / "build" / "soak.json"
SHOWN = 20  # requests that failed and were not allowed to, in the table's foot


@dataclass(frozen=True)
class Seen:
    """An event with the answers that ended from its begin to the begin of the next."""

    event: Happened
    answers: Sequence[Answer]

    @property
    def failed(self) -> list[Answer]:
        """The requests that failed, allowed or not."""
        return [answer for answer in self.answers if not answer.fulfilled]

    @property
    def wrong(self) -> list[Answer]:
        """The requests that failed, or took longer, though the event does not allow it."""
        return [answer for answer in self.answers if not self.event.kind.allowed.permits(answer, self.event.acted_at)]

    @property
    def failing_seconds(self) -> float:
        """The seconds from the act to the end of the last failed request."""
        return max([0.0, *(answer.ended_at - self.event.acted_at for answer in self.failed)])

    def document(self) -> Mapping[str, Any]:
        """Return the event for the JSON file."""
        event = self.event
        return {
            "event": event.kind.name,
            "alias": event.alias,
            "began_at": round(event.began_at, 3),
            "acted_after_seconds": round(event.acted_at - event.began_at, 3),
            "healthy_after_seconds": round(event.healed_at - event.acted_at, 3),
            "load_average": round(event.load_average, 1),
            "failing_seconds": round(self.failing_seconds, 3),
            "slowest_seconds": max((answer.seconds for answer in self.answers), default=0.0),
            "answers": counted(self.answers),
            "not_allowed": [answer._asdict() for answer in self.wrong],
            "error": event.error,
        }


@dataclass(frozen=True)
class Report:
    """What a soak found, event by event."""

    found: Soaked
    seen: Sequence[Seen]
    before: Sequence[Answer]  # under load before the first event
    install_seconds: float | None = None

    def problems(self) -> list[str]:
        """Return what is not as it should be, a line for each; nothing may be left out."""
        wrong = [answer for seen in self.seen for answer in seen.wrong]
        wrong += [answer for answer in self.before if not NONE.permits(answer, 0)]
        numbers = {
            "requests failed that no event allows to fail": len(wrong),
            "accepted writes lost": len(self.found.lost),
            "events did not end as they should": sum(bool(seen.event.error) for seen in self.seen),
            "events left out for want of time": len(self.found.left_out),
        }
        problems = [f"{number} {what}" for what, number in numbers.items() if number]
        if not any(answer.kind == "write" and answer.fulfilled for answer in self.found.answers):
            problems.append("no write was accepted")
        if self.install_seconds is not None and self.install_seconds > INSTALL_BAR_SECONDS:
            problems.append(f"a fresh install took {self.install_seconds:.0f} s, more than {INSTALL_BAR_SECONDS:.0f}")
        return problems

    def document(self) -> Mapping[str, Any]:
        """Return the report for the JSON file."""
        found = self.found
        seconds = found.ended_at - found.began_at
        refused = [answer for answer in found.answers if answer.outcome == "503"]
        return {
            "seed": found.seed,
            "began_at": round(found.began_at, 3),
            "seconds": round(seconds, 1),
            "fresh_install_seconds": self.install_seconds,
            "events": len(self.seen),
            "left_out": found.left_out,
            "answers": counted(found.answers),
            "requests_per_second": rates(found.answers),
            "slowest_refusal_seconds": max((each.seconds for each in refused), default=0.0),
            "accepted_writes": sum(answer.kind == "write" and answer.fulfilled for answer in found.answers),
            "lost_writes": found.lost,
            "problems": self.problems(),
            "in_order": [seen.document() for seen in self.seen],
        }


INSTALL_BAR_SECONDS = 120.0


def reported(found: Soaked, *, install_seconds: float | None = None) -> Report:
    """Return the report: each answer belongs to the event in which it ended."""
    begins = [event.began_at for event in found.events]
    answers: list[list[Answer]] = [[] for _ in range(len(begins) + 1)]
    for answer in found.answers:
        answers[bisect_right(begins, answer.ended_at)].append(answer)
    seen = [Seen(event, answers[number]) for number, event in enumerate(found.events, start=1)]
    return Report(found, seen, answers[0], install_seconds)


def rates(answers: Sequence[Answer]) -> Mapping[str, float]:
    """Return the writes and the reads a second, over the whole time."""
    if not answers:
        return {}
    seconds = max(answer.ended_at for answer in answers) - answers[0].began_at
    writes = sum(answer.kind == "write" for answer in answers)
    return {"writes": round(writes / seconds, 1), "reads": round((len(answers) - writes) / seconds, 1)}


def written(report: Report, file: Path = FILE) -> None:
    """Write the report as JSON and print it as a table."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report.document(), indent=1) + "\n")
    console = Console(width=None if Console().is_terminal else 150)
    console.print(_table(report))
    for kind, outcomes in counted(report.found.answers).items():
        console.print(f"{kind}: " + ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(outcomes.items())))
    console.print(f"requests a second: {dict(rates(report.found.answers))}")
    for seen in report.seen:
        for answer in seen.wrong[:SHOWN]:
            after = answer.ended_at - seen.event.acted_at
            request = f"{answer.kind}, {answer.outcome}, {answer.seconds} s"
            console.print(f"not allowed: {seen.event.kind.name}, {after:+.2f} s: {request}")
        if seen.event.error:
            console.print(f"{seen.event.kind.name} {seen.event.alias}: {seen.event.error}")
    console.print("; ".join(report.problems()) or "everything was as it should be", style="bold")


def _table(report: Report) -> Table:
    columns = ("event", "times", "requests", "503", "broken", "not allowed", "last failure after", "healthy after")
    table = Table(*columns, title=f"soak, seed {report.found.seed}")
    kinds = {seen.event.kind.name: seen.event.kind for seen in report.seen}
    for name in kinds:
        of_kind = [seen for seen in report.seen if seen.event.kind.name == name]
        failed = [answer for seen in of_kind for answer in seen.failed]
        healthy = [seen.event.healed_at - seen.event.acted_at for seen in of_kind]
        failing = max(seen.failing_seconds for seen in of_kind)
        table.add_row(
            name,
            str(len(of_kind)),
            f"{sum(len(seen.answers) for seen in of_kind):,}",
            str(sum(answer.outcome == "503" for answer in failed)),
            str(sum(answer.broken for answer in failed)),
            str(sum(len(seen.wrong) for seen in of_kind)),
            f"{failing:.1f} s" if failing else "",
            f"{median(healthy):.0f} s, at most {max(healthy):.0f} s",
        )
    return table
