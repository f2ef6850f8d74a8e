"""`migrate_all`: migrate all owners at once. The work on one alias is in `migrate.py`."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from switchyard.migrations import migrating, pending
from switchyard.migrations._sqlite_directory import make_sqlite_directory
from switchyard.routing.topology.direct import past_pooler
from switchyard.routing.topology.ownership import is_unmanaged, owners

# The line that names an error, of a command or at the end of a traceback, such as `django.db.utils.DataError: ...`
_ERROR = re.compile(r"(?:\w+\.)*[A-Z]\w*[a-z]\w*(: |$)")
_CHECK = re.compile(r"\(\w+\.[CEW]\d+\) ")
_OUTCOMES = {(True, True): "migrated", (True, False): "nothing to do", (False, False): "unmanaged"}


@dataclass(frozen=True)
class Result:
    """The result of one alias. `error` says in one line why its `migrate` failed; empty if it succeeded."""

    alias: str
    applied: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""
    managed: bool = True


class Command(BaseCommand):
    """Migrate each alias in a process of its own. An alias without pending migrations starts no process."""

    help = "Migrates every database that owns tables, in parallel; a failure of one does not stop the others."
    requires_system_checks = ("switchyard",)  # each `migrate` runs all checks for its own database

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the results as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        aliases = migrating()
        with ThreadPoolExecutor(max_workers=max(len(aliases), 1)) as threads:
            results = [finish() for finish in [self._start(alias, threads) for alias in aliases]]
        results += [Result(alias, managed=False) for alias in owners() if is_unmanaged(alias)]
        if options["json"]:
            self.stdout.write(json.dumps([asdict(result) for result in results], indent=2))
        else:
            Console(file=cast(IO[str], self.stdout)).print(_table(results))
        if failed := [result.alias for result in results if result.error]:
            raise CommandError(f"Not migrated: {', '.join(failed)}. The reasons are above.")

    def _start(self, alias: str, threads: ThreadPoolExecutor) -> Callable[[], Result]:
        """Start `migrate` on the alias if a migration is pending. Return a function that waits for the result."""
        try:
            make_sqlite_directory(connections[alias])
            with past_pooler(connections[alias]):
                before = pending(alias)
        except DatabaseError as error:
            result = Result(alias, error=str(error).strip().partition("\n")[0])
            return lambda: result
        if not before:
            return lambda: Result(alias)
        running = threads.submit(_migrate, alias)

        def finish() -> Result:
            process, seconds = running.result()
            if process.returncode:
                self.stderr.write(f"{alias}:\n{process.stderr or process.stdout}")
            left = _pending_or(before, alias) if process.returncode else []
            applied = [name for name in before if name not in left]
            error = _reason(process.stderr or process.stdout) if process.returncode else ""
            return Result(alias, applied, seconds, error)

        return finish


def _migrate(alias: str) -> tuple[subprocess.CompletedProcess[str], float]:
    start = time.monotonic()
    process = subprocess.run(  # noqa: S603 - this interpreter, and an alias of the settings
        [sys.executable, "-m", "django", "migrate", f"--database={alias}", "--no-input", "--no-color"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    return process, round(time.monotonic() - start, 2)


def _pending_or(before: list[str], alias: str) -> list[str]:
    """Return the pending migrations; those of before if the alias no longer answers."""
    try:
        with past_pooler(connections[alias]):
            return pending(alias)
    except DatabaseError:
        return before


def _reason(output: str) -> str:
    """Return the line that names the error. Hints, details and the excerpt of a statement may follow it."""
    lines = output.strip().rpartition("\nTraceback ")[2].splitlines() or ["it ended without a word"]
    raised = next((line for line in lines if _ERROR.match(line)), lines[-1])
    if raised.startswith("SystemCheckError"):
        return next((line for line in lines[lines.index(raised) :] if _CHECK.search(line)), raised)
    return raised


def _table(results: list[Result]) -> Table:
    table = Table("alias", "result", "applied", "seconds")
    for result in results:
        outcome = escape(result.error) or _OUTCOMES[result.managed, bool(result.applied)]
        style = "red" if result.error else None
        table.add_row(result.alias, outcome, str(len(result.applied)), f"{result.seconds:.1f}", style=style)
    return table
