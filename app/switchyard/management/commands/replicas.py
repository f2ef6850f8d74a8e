"""`replicas`: print the owners and their replicas as they are now: state, position and lag."""

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

from switchyard.routing.monitor import monitor, watch
from switchyard.routing.monitor.server_status import ServerReport, server_reports

_FIRST_ANSWERS_SECONDS = 3.0  # a server without an answer by then is down
_REFRESH_SECONDS = 0.5
_COLUMNS = ("alias", "replica of", "state", "lag", "behind", "age", "position")


class Command(BaseCommand):
    """Print a table of servers, once or repeatedly, or the same as JSON."""

    help = (
        "Probes every owner that has replicas, and each replica, and shows the state, the position and the lag. This "
        "process probes for itself. A worker may know an older answer, or a failure that one of its queries reported."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = (
            "States of a replica: 'fit'; 'no lag': shares the database of its owner; 'lagging': behind by more than "
            "MAX_LAG_SECONDS; 'down': refuses connections, fails or does not answer; 'conflict': cancelled a query "
            "that blocked replay; 'unverified': a new server behind the alias that has not caught up yet; 'promoted': "
            "takes writes itself; 'other_system', 'superseded', 'empty', 'unmigrated': its rows are not the owner's "
            "rows. States of an owner that must not be written: 'down', 'standby', 'read_only', 'superseded'. "
            "lag: age of the oldest write that the replica has not replayed; behind: the same in bytes, on PostgreSQL; "
            "age: age of the newest answer. Exit code: 0 if all servers are fit, 1 if a replica is unfit, 2 if an "
            "owner must not be written."
        )
        parser.add_argument("--watch", action="store_true", help="Print again every 0.5 s, until Ctrl-C.")
        parser.add_argument(
            "--json",
            action="store_true",
            help="Print a JSON list with an object for each server; one line with --watch.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(
            file=self.stdout,  # type: ignore[arg-type]  # rich calls only `write()` and `flush()`
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
    """Probe the servers in this block. The table shows each change, so the monitor logs none."""
    watch.logger.disabled = True
    monitor.start(alone=True)
    try:
        yield
    finally:
        monitor.stop()
        watch.logger.disabled = False


def _first() -> list[ServerReport]:
    """Return the reports as soon as all servers have answered, or after `_FIRST_ANSWERS_SECONDS`."""
    deadline = time.monotonic() + _FIRST_ANSWERS_SECONDS
    while not all(server.known for server in server_reports()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(2 * monitor.EVALUATION_INTERVAL_SECONDS)  # until the monitor has evaluated the last answer
    return server_reports()


def _later(*, watch: bool) -> Iterator[list[ServerReport]]:
    while watch:
        time.sleep(_REFRESH_SECONDS)
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
