"""`crossdb_audit`: find the children of parents that do not exist, on the other database."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from switchyard.crossdb.references.audit import Audit, Report, audits
from switchyard.crossdb.references.registry import Reference, references
from switchyard.management.tables import show

_COUNTS = ("checked", "orphan_keys", "orphans", "fixed", "waiting_tombstones")
_STYLES = {"no orphan": "green", "fixed": "green", "orphans": "red", "failed": "red"}
_CODES = {"no orphan": 0, "fixed": 0, "orphans": 1, "failed": 3}


class Command(BaseCommand):
    """Print a table of references and their orphans, or the same as JSON."""

    help = (
        "Finds orphans: children whose CrossDatabaseForeignKey names a parent that does not exist. Reads the keys of "
        "all children, asks the parents' owner for them, and changes nothing without --fix."
    )
    requires_system_checks = ("switchyard",)  # Django's own checks connect to each MySQL, and fail without an answer

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = (
            "A reference with on_delete=DO_NOTHING is audited, and --fix leaves its orphans. A parent whose "
            "transaction is not committed does not exist: use --fix while no program commits children before their "
            "new parents. Waiting tombstones are deletions whose children the worker will reach: such children are "
            "orphans until then. Exit code: 0 no orphan is left, 1 orphans are left, 3 a database cannot be read or "
            "changed."
        )
        parser.add_argument(
            "--reference", action="append", metavar="APP.MODEL.FIELD", help="Only this reference; may be repeated."
        )
        parser.add_argument(
            "--fix", action="store_true", help="Delete the orphans, or set their reference to NULL, as on_delete says."
        )
        parser.add_argument("--json", action="store_true", help="Print a JSON list with an object for each reference.")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = _chosen(options["reference"])
        with _progress() as report:
            found = list(audits(chosen, fix=options["fix"], report=report))
        values = [_values(each) for each in found]
        show(self.stdout, options, values=values, table=_table(found), lines=_details(found, fix=options["fix"]))
        if code := max((_CODES[_state(each)] for each in found), default=0):
            sys.exit(code)


def _chosen(labels: list[str] | None) -> list[Reference]:
    known = {reference.label: reference for reference in references()}
    for label in labels or ():
        if label not in known:
            raise CommandError(f"'{label}' is no CrossDatabaseForeignKey. Name one of: {', '.join(known) or 'none'}.")
    return [known[label] for label in dict.fromkeys(labels or known)]


def _state(found: Audit) -> str:
    if found.error:
        return "failed"
    return "orphans" if found.has_orphans else "fixed" if found.orphans else "no orphan"


def _table(found: list[Audit]) -> Table:
    table = Table(Column("reference", overflow="fold"), "state", *(name.replace("_", " ") for name in _COUNTS))
    for each in found:
        state, counts = _state(each), (f"{getattr(each, name):,}" for name in _COUNTS)
        table.add_row(each.reference.label, f"[{_STYLES[state]}]{state}[/]", *counts)
    return table


def _details(found: list[Audit], *, fix: bool) -> Iterator[str]:
    for each in found:
        for line in _lines(each, fix=fix):
            yield f"[bold]{each.reference.label}[/]: {escape(line)}"


def _values(found: Audit) -> dict[str, Any]:
    counts = {name: getattr(found, name) for name in _COUNTS}
    examples = [key if isinstance(key, int) else str(key) for key in found.examples]
    label = found.reference.label
    return {"reference": label, "state": _state(found), **counts, "examples": examples, "error": found.error}


def _lines(found: Audit, *, fix: bool) -> Iterator[str]:
    if found.error:
        yield f"error: {found.error}"
    if found.examples:
        shown = (
            f"the first {len(found.examples)} of {found.orphan_keys:,}: "
            if len(found.examples) < found.orphan_keys
            else ""
        )
        yield f"keys without a parent: {shown}{', '.join(map(str, found.examples))}"
    if fix and found.has_orphans:
        yield "on_delete is DO_NOTHING: --fix leaves these rows"


class _Speed(ProgressColumn):
    """The keys in each second of late."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} keys/s")


@contextmanager
def _progress() -> Iterator[Report]:
    """Show the counts on a terminal in this block. The number of distinct keys is not known before they are read."""
    shown_on = Console(stderr=True)
    if not shown_on.is_terminal:
        yield lambda _found: None
        return
    counts = TextColumn("{task.description}: {task.completed:,} keys, {task.fields[orphans]:,} orphans")
    with Progress(SpinnerColumn(), counts, _Speed(), TimeElapsedColumn(), console=shown_on, transient=True) as progress:
        tasks = {}

        def report(found: Audit) -> None:
            label = found.reference.label
            if label not in tasks:
                tasks[label] = progress.add_task(label, total=None, orphans=0)
            progress.update(tasks[label], completed=found.checked, orphans=found.orphans)

        yield report
