"""`crossdb_references`: print each reference across databases, and what the worker has to do for it."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.markup import escape
from rich.table import Table

from switchyard.crossdb.references.worker.status import ReferenceStatus, statuses
from switchyard.management.tables import show

_COLUMNS = (
    *("reference", "owners", "rule", "recorded by", "triggers", "state"),
    *("waiting", "oldest", "set aside", "handled"),
)
# State -> style, and the exit code.
_STYLES = {"well": "green"}
_CODES = {"well": 0, "set aside": 1, "trigger missing": 1, "unknown reference": 1, "partitioned": 1, "unreadable": 3}
_CAUSES = {
    "unknown reference": "no installed model records these deletions",
    "partitioned": "deletions on a partition of the parents' table are not recorded",
}


class Command(BaseCommand):
    """Print a table of references, or the same as JSON."""

    help = (
        "Shows every CrossDatabaseForeignKey: the owners of its parents and children, its rule, whether its triggers "
        "are there, and its tombstones. Reads the owner of the parents, and changes nothing."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = (
            "States: 'well'; 'set aside': the children of a tombstone could not be reached in 10 attempts (mend the "
            "cause, then `crossdb_worker --retry`); 'trigger missing': deletions are not recorded (`migrate` the "
            "parent's app; `crossdb_audit` finds the children of earlier deletions); 'unknown reference': tombstones "
            "name a reference whose deletions no installed model records, for example after a rename; 'partitioned': "
            "deletions on a partition of the parents' table are not recorded (for both, the command prints what to "
            "do); 'unreadable'. triggers: those that are there; 'not visible': MySQL shows them only to a role with "
            "the right TRIGGER. waiting: deleted parents whose children are still to be reached; handled: kept for "
            "TOMBSTONE_RETENTION, for children that come later. Exit code: 0 all well, 3 a database cannot be read, 1 "
            "any other state. The highest one counts."
        )
        parser.add_argument("--json", action="store_true", help="Print a JSON list with an object for each reference.")

    def handle(self, *args: Any, **options: Any) -> None:
        found = list(statuses())
        values = [{"state": each.state, **asdict(each)} for each in found]
        show(self.stdout, options, values=values, table=_table(found), lines=_details(found))
        if code := max((_CODES[each.state] for each in found), default=0):
            sys.exit(code)


def _table(found: list[ReferenceStatus]) -> Table:
    table = Table(*_COLUMNS)
    for each in found:
        table.add_row(
            each.reference,
            f"{each.source} -> {each.target}" if each.target else each.source,
            each.rule,
            each.recorded_by,
            _triggers(each),
            f"[{_STYLES.get(each.state, 'red')}]{each.state}[/]",
            *_numbers(each),
        )
    return table


def _triggers(each: ReferenceStatus) -> str:
    if each.triggers is None:
        return "not visible"
    needed = len(each.triggers) + len(each.missing_triggers)
    return f"{len(each.triggers)} of {needed}" if needed else ""


def _numbers(each: ReferenceStatus) -> tuple[str, ...]:
    if each.error or each.recorded_by == "none":
        return ("", "", "", "")
    known = each.tombstones
    oldest = f"{known.oldest_age_seconds:,.0f} s" if known.waiting else ""
    return str(known.waiting), oldest, str(known.set_aside), str(known.handled)


def _details(found: list[ReferenceStatus]) -> Iterator[str]:
    for each in found:
        if each.error:
            hint = "If its tables are not made yet, run `migrate_all`."
            yield f"[bold]{each.reference}[/]: {escape(each.source)} cannot be read: {escape(each.error)}. {hint}"
        if cause := _CAUSES.get(each.state):
            yield f"[bold]{each.reference}[/]: {cause}. {escape(each.advice)}"
        if each.missing_triggers:
            yield f"[bold]{each.reference}[/]: missing on {each.source}: {', '.join(each.missing_triggers)}"
        if each.tombstones.set_aside:
            error = escape(each.set_aside_error)
            yield f"[bold]{each.reference}[/]: newest error of a tombstone that was set aside: {error}"
