"""`replicas`: the owners and their replicas as they are now: fit or why not, position, lag."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.filesize import decimal
from rich.live import Live
from rich.table import Table

from switchyard.routing.monitor import monitor
from switchyard.routing.monitor.server_status import ServerReport, server_reports

_ANSWERS = 3.0  # seconds for the first answers; who has given none by then is down
_AGAIN = 0.5  # seconds from one table to the next
_COLUMNS = ("alias", "replica of", "state", "lag", "behind", "age", "position")


class Command(BaseCommand):
    """Print a table of servers, once or again and again, for people or as JSON."""

    help = (
        "Asks every owner that has replicas, and each of these, and shows whether the replica is fit to be read, how "
        "far it has come and how far it is behind. The process asks for itself, as a worker does: what a worker "
        "knows may be a moment older, or a failed query's."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = (
            "state: 'fit'; 'lagging': behind by more than MAX_LAG_SECONDS; 'down': refuses, fails or does not answer; "
            "'conflict': ended a query for replay's sake; 'new': in the place of another server, and not known to have "
            "what that one showed; 'promoted': follows nobody any more; 'foreign', "
            "'superseded', 'empty', 'unmigrated': its rows are not its owner's; of an owner 'down', 'standby', "
            "'read_only', 'superseded': it must not be written. lag: age of the oldest write that it has not "
            "replayed; behind: the same in bytes, on PostgreSQL; age: of its newest answer. "
            "Exit code: 0 all fit, 1 a replica is not, 2 an owner must not be written."
        )
        parser.add_argument("--watch", action="store_true", help="Show it again every 0.5 s, until Ctrl-C.")
        parser.add_argument(
            "--json", action="store_true", help="Print a list of objects, one a server; with --watch, one line a time."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(
            file=self.stdout,  # type: ignore[arg-type]  # it writes, which is all that rich asks for
            no_color=options["no_color"],
            width=None if self.stdout.isatty() else 200,
        )
        with _watching():
            found = _first()
            with suppress(KeyboardInterrupt):
                if options["json"]:
                    show = self._as_json if options["watch"] else self._as_indented_json
                    show(found)
                    for found in _later(watch=options["watch"]):
                        show(found)
                else:
                    with Live(_table(found), console=console, auto_refresh=False) as live:
                        for found in _later(watch=options["watch"]):
                            live.update(_table(found), refresh=True)
        if code := _exit_code(found):
            sys.exit(code)

    def _as_json(self, found: list[ServerReport], indent: int | None = None) -> None:
        self.stdout.write(json.dumps([asdict(server) | {"fit": server.fit} for server in found], indent=indent))
        self.stdout.flush()

    def _as_indented_json(self, found: list[ServerReport]) -> None:
        self._as_json(found, indent=2)


@contextmanager
def _watching() -> Iterator[None]:
    """Ask the servers in this block. What changes is in the table, and said nowhere else."""
    monitor.logger.disabled = True
    monitor.start()
    try:
        yield
    finally:
        monitor.stop()
        monitor.logger.disabled = False


def _first() -> list[ServerReport]:
    """Return the servers as soon as all are known."""
    deadline = time.monotonic() + _ANSWERS
    while not all(server.known for server in server_reports()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(2 * monitor.EVALUATION_INTERVAL_SECONDS)  # so that the last answer is judged with all others
    return server_reports()


def _later(*, watch: bool) -> Iterator[list[ServerReport]]:
    while watch:
        time.sleep(_AGAIN)
        yield server_reports()


def _exit_code(found: list[ServerReport]) -> int:
    unfit = [server for server in found if not server.fit]
    return max((1 if server.replica_of else 2 for server in unfit), default=0)


def _table(found: list[ServerReport]) -> Table:
    table = Table(*_COLUMNS)
    for server in found:
        table.add_row(
            server.alias,
            server.replica_of or "",
            f"[{'green' if server.fit else 'red'}]{server.state}[/]",
            "" if server.lag_seconds is None else f"{server.lag_seconds:.1f} s",
            "" if server.lag_bytes is None else decimal(server.lag_bytes),
            "" if server.age_seconds is None else f"{server.age_seconds:.1f} s",
            server.position or "",
        )
    return table
