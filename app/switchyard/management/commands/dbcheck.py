"""`dbcheck`: print the health of each alias, as /healthz tells it."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from switchyard.health.readiness import Readiness, Status, Verdict
from switchyard.health.report import alias_details
from switchyard.routing.monitor import monitor, watch
from switchyard.routing.topology.ownership import database_aliases

_FIRST_ANSWERS_SECONDS = 3.0  # a server without an answer by then is down
_COLOURS = {"up": "green", "unmigrated": "yellow", "down": "red"}
_EXIT_CODES = {Status.OK: 0, Status.DEGRADED: 1, Status.UNAVAILABLE: 2}


class Command(BaseCommand):
    """Print a table of aliases, or the same as JSON."""

    help = (
        "Asks every database and shows whether the service can work with it: 'up', 'unmigrated' or 'down'. "
        "This process asks for itself, as a new process of the service would."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = (
            "server: the state of an owner or replica, as in 'manage.py replicas'; answer: time of the last answer; "
            "pending: migrations to apply. Exit code: 0 if all are up, 1 if the service works without those that are "
            "not, 2 if it is not ready."
        )
        parser.add_argument("aliases", nargs="*", metavar="ALIAS", help="Show these aliases only.")
        parser.add_argument("--json", action="store_true", help="Print a JSON object with a key for each alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        aliases = options["aliases"] or database_aliases()
        if unknown := sorted(set(aliases) - set(database_aliases())):
            raise CommandError(
                f"DATABASES has no alias {', '.join(unknown)}. Aliases: {', '.join(database_aliases())}."
            )
        with _watching():
            verdict = Readiness().verdict()
            details = {alias: each for alias, each in alias_details(verdict).items() if alias in aliases}
        if options["json"]:
            self.stdout.write(json.dumps(details, indent=2))
        else:
            console = Console(
                file=self.stdout,  # type: ignore[arg-type]  # rich calls only `write()` and `flush()`
                no_color=options["no_color"],
                width=None if self.stdout.isatty() else 200,
            )
            console.print(_table(details))
        if code := _exit_code(verdict, details):
            sys.exit(code)


@contextmanager
def _watching() -> Iterator[None]:
    """Ask the servers in this block. The table shows each state, so the monitor logs none."""
    watch.logger.disabled = True
    monitor.start(alone=True)
    try:
        monitor.wait_for_answers(_FIRST_ANSWERS_SECONDS)
        time.sleep(2 * monitor.EVALUATION_INTERVAL_SECONDS)  # until the lag of the last answers is known
        yield
    finally:
        monitor.stop()
        watch.logger.disabled = False


def _exit_code(verdict: Verdict, details: Mapping[str, Mapping[str, Any]]) -> int:
    """Return 0 if all shown aliases are up; otherwise what the verdict about all aliases says."""
    return 0 if all(each["state"] == "up" for each in details.values()) else _EXIT_CODES[verdict.status]


def _table(details: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("alias", "vendor", "replica of", "state", "server", "answer", "lag", "pending", "error")
    for alias, each in details.items():
        table.add_row(
            alias,
            each["vendor"],
            each["replica_of"] or "",
            f"[{_COLOURS[each['state']]}]{each['state']}[/]",
            each["server"] or "",
            "" if each["answer_seconds"] is None else f"{each['answer_seconds'] * 1000:.1f} ms",
            "" if each["lag_seconds"] is None else f"{each['lag_seconds']:.1f} s",
            "" if each["pending_migrations"] is None else str(each["pending_migrations"]),
            each["error"] or "",
        )
    return table
