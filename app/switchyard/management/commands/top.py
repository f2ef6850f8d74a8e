"""`top`: show the load on each alias and the state of its server, again and again."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.live import Live
from rich.table import Table

from switchyard.conf import conf
from switchyard.routing.monitor import monitor, watch
from switchyard.routing.monitor.server_status import ServerReport, reports_of
from switchyard.routing.topology.ownership import database_aliases, replicated_by
from switchyard.telemetry import snapshot
from switchyard.telemetry.rates import Rates, rates

_TEXTS = ("alias", "role", "state")
_NUMBERS = ("reads/s", "writes/s", "other/s", "errors/s", "p50", "p95", "p99", "lag", "pending")


class Command(BaseCommand):
    """Print a table of aliases that renews itself, or a line of JSON for each renewal."""

    help = (
        "Shows the queries of the service on each alias, per second and over all processes that share METRICS_DIR, and "
        "the state of the alias' server. Run it where the service runs, with the same METRICS_DIR."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = (
            "p50, p95, p99: half, 95% and 99% of the calls took no longer; lag: age of the oldest write that the "
            "replica has not replayed; pending: migrations to apply. State: as in 'manage.py replicas'."
        )
        parser.add_argument("--interval", type=float, default=1.0, help="Seconds between two renewals. Default: 1.")
        parser.add_argument("--count", type=int, default=0, help="End after so many renewals. Default: never.")
        parser.add_argument("--json", action="store_true", help="Print a JSON object in one line for each renewal.")

    def handle(self, *args: Any, **options: Any) -> None:
        if conf.metrics_dir is None:
            raise CommandError("METRICS_DIR is not set, so the queries of the service are unknown here: set its value.")
        if options["interval"] <= 0:
            raise CommandError(f"--interval is {options['interval']}: set a number of seconds above 0.")
        console = Console(
            file=self.stdout,  # type: ignore[arg-type]  # rich calls only `write()` and `flush()`
            no_color=options["no_color"],
            width=None if self.stdout.isatty() else 200,
        )
        turns = _turns(options["interval"], options["count"])
        with _watching(), suppress(KeyboardInterrupt):
            if options["json"]:
                for rows in turns:
                    self.stdout.write(json.dumps(rows))
                    self.stdout.flush()
            else:
                with Live(_table([]), console=console, auto_refresh=False) as live:
                    for rows in turns:
                        live.update(_table(rows), refresh=True)


@contextmanager
def _watching() -> Iterator[None]:
    """Know the servers in this block: by the process of the service that asks them, or by probes of this process."""
    watch.logger.disabled = True
    monitor.start()
    try:
        yield
    finally:
        monitor.stop()
        watch.logger.disabled = False


def _turns(interval: float, count: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows after each interval."""
    before, asked_at, turn = snapshot(), time.monotonic(), 0
    while not count or turn < count:
        time.sleep(interval)
        after, now = snapshot(), time.monotonic()
        yield _rows(rates(before, after, now - asked_at))
        before, asked_at, turn = after, now, turn + 1


def _rows(found: dict[str, Rates]) -> list[dict[str, Any]]:
    owners = [alias for alias in database_aliases() if replicated_by(alias) is None and monitor.watches(alias)]
    reports = {report.alias: report for owner in owners for report in reports_of(owner)}
    return [_row(alias, found.get(alias, Rates()), reports.get(alias)) for alias in database_aliases()]


def _row(alias: str, load: Rates, report: ServerReport | None) -> dict[str, Any]:
    owner = replicated_by(alias)
    reads, writes = load.queries.get("read", 0.0), load.queries.get("write", 0.0)
    return {
        "alias": alias,
        "role": f"replica of {owner}" if owner else "owner",
        "state": report.state if report else None,
        "reads_per_second": reads,
        "writes_per_second": writes,
        "other_per_second": load.total - reads - writes,
        "errors_per_second": load.errors,
        "p50_seconds": load.quantile(0.5),
        "p95_seconds": load.quantile(0.95),
        "p99_seconds": load.quantile(0.99),
        "lag_seconds": report.lag_seconds if report else None,
        "pending_migrations": None if owner else monitor.pending_migrations(alias),
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(*_TEXTS)
    for column in _NUMBERS:
        table.add_column(column, justify="right")
    for row in rows:
        alias, role, state, *numbers, p50, p95, p99, lag, pending = row.values()
        colour = "" if state is None else f"[{'green' if state in {'fit', 'no lag'} else 'red'}]{state}[/]"
        table.add_row(
            alias,
            role,
            colour,
            *(f"{number:.1f}" if number else "" for number in numbers),
            *("" if seconds is None else f"{seconds * 1000:.1f} ms" for seconds in (p50, p95, p99)),
            "" if lag is None else f"{lag:.1f} s",
            "" if pending is None else str(pending),
        )
    return table
