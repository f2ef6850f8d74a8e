"""`migration_audit`: print where the tables of an alias differ from the models."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.markup import escape
from rich.table import Table

from switchyard.management.refusals import refuse_unknown
from switchyard.management.tables import show
from switchyard.migrations._audit import Audit, audit
from switchyard.routing.topology.ownership import owners

_COLUMNS = ("alias", "state", "tables", "problems", "notes")
_STATES = {0: ("agrees", "green"), 2: ("differs", "red"), 3: ("unreadable", "red")}


class Command(BaseCommand):
    """Print a table of owners and the differences of their tables, or the same as JSON."""

    help = (
        "Compares the tables of every owner with the models of this code: missing tables and columns, NULL and types, "
        "columns that make inserts fail, and tables of another owner. Reads each database, and changes none."
    )
    requires_system_checks = ("switchyard",)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = (
            "A problem breaks queries or hides a mistake. A note does neither: a table or a nullable column that no "
            "model has, as of a newer release; pending migrations. Not compared: indexes, constraints, defaults, "
            "collations, primary keys that take NULL, generated columns' NULL, and tables in another schema. On SQLite "
            "types are compared by their affinity. Exit code: 0 no problem, 2 a problem, 3 an owner cannot be read."
        )
        parser.add_argument("--database", action="append", metavar="ALIAS", help="Only this alias; may be repeated.")
        parser.add_argument("--json", action="store_true", help="Print a JSON list with an object for each alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        for alias in options["database"] or ():
            refuse_unknown(alias)
        found = [audit(alias) for alias in options["database"] or owners()]
        values = [{"state": _STATES[_exit_code(each)][0], **asdict(each)} for each in found]
        show(self.stdout, options, values=values, table=_table(found), lines=_details(found))
        if code := max((_exit_code(each) for each in found), default=0):
            sys.exit(code)


def _exit_code(found: Audit) -> int:
    return 3 if found.error else 2 if found.problems else 0


def _table(found: list[Audit]) -> Table:
    table = Table(*_COLUMNS)
    for each in found:
        state, style = _STATES[_exit_code(each)]
        counts = (each.tables, len(each.problems), len(each.notes))
        table.add_row(each.alias, f"[{style}]{state}[/]", *("" if each.error else str(count) for count in counts))
    return table


def _details(found: list[Audit]) -> Iterator[str]:
    for each in found:
        for title, lines in (("error", [each.error]), ("problem", each.problems), ("note", each.notes)):
            for line in filter(None, lines):
                yield f"[bold]{each.alias}[/]: {title}: {escape(line)}"
