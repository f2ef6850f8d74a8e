"""`migration_status`: print what each alias has recorded, and whether its tables agree."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.markup import escape
from rich.table import Table

from switchyard.management.refusals import refuse_unknown
from switchyard.management.tables import show
from switchyard.migrations import migrating
from switchyard.migrations._records import Records, records
from switchyard.routing.topology.ownership import is_unmanaged, owners, replicas_of

_COLUMNS = ("alias", "replica of", "state", "applied", "pending", "ahead")
# State -> style, and the exit code of an owner in this state.
_STYLES = {"migrated": "green", "unmanaged": "dim", "pending": "yellow"}
_CODES = {"migrated": 0, "unmanaged": 0, "pending": 1, "differs": 2, "half done": 2, "unreadable": 3}
_DETAILS = (
    ("pending", "pending"),
    ("ahead", "ahead: recorded, and not in this code"),
    ("half_done", "half done: began and did not end; `migrate` says what to check"),
    ("recorded_without_table", "recorded, but the table is missing"),
    ("table_without_record", "not recorded, but the table exists"),
)


class Command(BaseCommand):
    """Print a table of aliases and the migrations and tables that need attention, or the same as JSON."""

    help = (
        "Shows for every database the migrations that it has recorded, that are pending and that only the database "
        "knows, and compares the records with the tables. Reads each database, and changes none."
    )
    requires_system_checks = ("switchyard",)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = (
            "States: 'migrated'; 'pending': `migrate_all` has work (of a replica: not replayed yet); 'differs': a "
            "recorded migration's table is missing (restore it, or `migrate --fake` back and run it again), or the "
            "table of a pending one exists (`migrate --fake-initial`, or `migrate <app> <migration> --fake`); 'half "
            "done': a migration began and did not end where the database does not roll back; 'unmanaged': others make "
            "the tables; 'unreadable'. Ahead is no fault: an older release runs on a newer database after a rollback. "
            "Exit code: 0 all migrated, 1 pending, or a replica that is not migrated, 2 differs or half done, 3 an "
            "owner cannot be read. The highest one counts."
        )
        parser.add_argument("--database", action="append", metavar="ALIAS", help="Only this alias; may be repeated.")
        parser.add_argument("--json", action="store_true", help="Print a JSON list with an object for each alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        found = [records(alias) for alias in _chosen(options["database"])]
        values = [{"state": each.state, **asdict(each)} for each in found]
        show(self.stdout, options, values=values, table=_table(found), lines=_details(found))
        if code := max((_exit_code(each) for each in found), default=0):
            sys.exit(code)


def _chosen(named: list[str] | None) -> list[str]:
    """Return the owners that migrate, the unmanaged ones and the replicas of both; or the aliases that are named."""
    with_migrations = [alias for alias in owners() if alias in migrating() or is_unmanaged(alias)]
    every = [alias for owner in with_migrations for alias in (owner, *replicas_of(owner))]
    for alias in named or ():
        refuse_unknown(alias)
    return named or every


def _exit_code(found: Records) -> int:
    """Return the code of one alias. The service starts without its replicas, so a replica counts as pending at most."""
    return min(_CODES[found.state], 1 if found.replica_of else 3)


def _table(found: list[Records]) -> Table:
    table = Table(*_COLUMNS)
    for each in found:
        counts = ("", "", "") if each.error or not each.managed else (each.applied, each.pending, each.ahead)
        state = f"[{_STYLES.get(each.state, 'red')}]{each.state}[/]"
        table.add_row(
            each.alias, each.replica_of or "", state, *(str(len(names)) if names != "" else "" for names in counts)
        )
    return table


def _details(found: list[Records]) -> Iterator[str]:
    for each in found:
        if each.error:
            yield f"[bold]{each.alias}[/]: {escape(each.error)}"
        for name, title in _DETAILS:
            if values := getattr(each, name):
                yield f"[bold]{each.alias}[/]: {escape(title)}"
                yield from (f"  {escape(value)}" for value in values)
