"""`crossdb_worker`: bring the deletions of parents to their children on another database."""

import json
import sys
from contextlib import nullcontext
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.table import Table

from switchyard.crossdb.references.registry import references
from switchyard.crossdb.references.worker import claims
from switchyard.crossdb.references.worker.probes import answering
from switchyard.crossdb.references.worker.reporting import reporting
from switchyard.crossdb.references.worker.stopping import stops_on_signals
from switchyard.crossdb.references.worker.worker import Worker
from switchyard.management.tables import console

_COLUMNS = ("deleted", "set_null", "handled", "parent_exists", "failed", "set_aside")


class Command(BaseCommand):
    """Run the worker until SIGTERM, or once."""

    help = (
        "Deletes the children of deleted parents, or sets their reference to NULL, for every CrossDatabaseForeignKey. "
        "Runs until SIGTERM or Ctrl-C, and then ends its batch. Several workers share the work."
    )
    requires_system_checks = ("switchyard",)  # Django's own checks connect to each MySQL, which may not answer now

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = (
            "A deleted parent is looked at again for TOMBSTONE_RETENTION (7 days), for children that came later. A "
            "tombstone whose children cannot be reached is tried 10 times and then set aside. Exit code of --once: 0 "
            "if everything that was due is handled, 1 if a database did not answer or a tombstone failed."
        )
        parser.add_argument("--once", action="store_true", help="Handle everything that is due, print a table and end.")
        parser.add_argument(
            "--recheck",
            action="store_true",
            help="First make all handled tombstones due, for children that came later.",
        )
        parser.add_argument(
            "--retry", action="store_true", help="First give tombstones that were set aside new attempts."
        )
        parser.add_argument(
            "--json", action="store_true", help="With --once: print a JSON object in place of the table."
        )
        parser.add_argument(
            "--health-port", type=int, metavar="PORT", help="Answer /livez and /readyz on this port. Default: no port."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["json"] and not options["once"]:
            raise CommandError("--json prints the result of --once. Add --once.")
        worker = Worker(references(recorded_only=True))
        for reference in worker.references:
            if options["retry"]:
                claims.retry(reference)
            if options["recheck"]:
                claims.recheck(reference)
        port = options["health_port"]
        with stops_on_signals() as stop, nullcontext() if port is None else answering(worker, port):
            worker.warn_of_unknown()
            if not options["once"]:
                if options["verbosity"] > 0:
                    self._greet(worker)
                with reporting(worker.references, stop):
                    worker.run(stop)
                return
            reached = worker.run_once(stop)
        self._print(worker, options)
        if not reached or any(total["failed"] or total["set_aside"] for total in worker.totals.values()):
            sys.exit(1)

    def _greet(self, worker: Worker) -> None:
        labels = ", ".join(reference.label for reference in worker.references)
        self.stdout.write(f"Watching the deletions for {labels or 'no reference'}.")
        self.stdout.flush()

    def _print(self, worker: Worker, options: dict[str, Any]) -> None:
        found = {label: {name: total[name] for name in _COLUMNS} for label, total in worker.totals.items()}
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=2))
            return
        table = Table("reference", *(name.replace("_", " ") for name in _COLUMNS))
        for label, total in found.items():
            table.add_row(label, *map(str, total.values()))
        console(self.stdout, options).print(table)
