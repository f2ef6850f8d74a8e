"""`migrate_all`: migrate all owners at once, or some of them to a given migration. One alias is in `migrate.py`."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections
from rich.markup import escape
from rich.table import Table

from switchyard.conf import conf
from switchyard.management.migrate_processes import Ended, MigrateProcesses
from switchyard.management.plans import as_json, as_lines, plans
from switchyard.management.tables import console
from switchyard.management.targets import targets_by_alias
from switchyard.migrations import migrating
from switchyard.migrations._exit_codes import DO_NOT_RETRY, MAY_RETRY, MIGRATED, exit_code_of
from switchyard.migrations._marks import marks
from switchyard.migrations._plan import Target, plan
from switchyard.migrations._sqlite_directory import make_sqlite_directory
from switchyard.migrations._status import pending
from switchyard.migrations._stopping import stops_on_sigterm
from switchyard.routing.errors import first_line
from switchyard.routing.topology.direct import past_pooler
from switchyard.routing.topology.ownership import is_unmanaged, owners

type Targets = dict[str, list[Target] | None]


@dataclass(frozen=True)
class Result:
    """The result of one alias. `error` says in one line why its `migrate` failed; empty if it succeeded."""

    alias: str
    applied: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""
    exit_code: int = MIGRATED
    managed: bool = True
    required: bool = True

    @property
    def outcome(self) -> str:
        """Return the result in a few words."""
        if self.error or not self.managed:
            return self.error or "unmanaged"
        return "rolled back" if self.undone else "migrated" if self.applied else "nothing to do"


class Command(BaseCommand):
    """Migrate each alias in a process of its own. An alias without pending migrations starts no process."""

    help = "Migrates every database that owns tables, in parallel; a failure of one does not stop the others."
    requires_system_checks = ("switchyard",)  # each `migrate` runs all checks for its own database

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = (
            "Exit codes: 0 every required database is migrated (the failure of an owner of SWITCHYARD['OPTIONAL'] is "
            "shown, and does not count); 1 failed or stopped by SIGTERM, another start may succeed; 3 failed, and "
            "another start fails as well. To roll back: --to analytics.0002 --plan shows what would be undone, "
            "--to analytics.0002 undoes it. Only the owners of the named apps are touched."
        )
        parser.add_argument("--json", action="store_true", help="Print the results as JSON.")
        parser.add_argument(
            "--to",
            action="append",
            metavar="APP.MIGRATION",
            help="Migrate the app to this migration, forwards or backwards, on its owner; `APP.zero` undoes all. The "
            "beginning of the migration's name is enough. Give it once for each app.",
        )
        parser.add_argument("--plan", action="store_true", help="Print what would be done, by alias; change nothing.")
        parser.add_argument("--sql", action="store_true", help="As --plan, with the SQL of each migration.")

    def handle(self, *args: Any, **options: Any) -> None:
        targets: Targets = {**targets_by_alias(options["to"])} if options["to"] else dict.fromkeys(migrating())
        shown = options["plan"] or options["sql"]
        if shown or options["to"]:
            found = plans(targets, with_sql=options["sql"])  # refuses what cannot be undone, before anything is
            if shown:
                self.stdout.write(as_json(found) if options["json"] else "\n".join(as_lines(found)))
                return
        results = self._migrate(targets)
        if not options["to"]:
            results += [Result(alias, managed=False) for alias in owners() if is_unmanaged(alias)]
        if options["json"]:
            self.stdout.write(json.dumps([asdict(result) for result in results], indent=2))
        else:
            console(self.stdout, options).print(_table(results))
        self._end(results)

    def _migrate(self, targets: Targets) -> list[Result]:
        processes = MigrateProcesses(report=self.stderr.write)
        with (
            stops_on_sigterm(then=processes.terminate),
            ThreadPoolExecutor(max_workers=max(len(targets), 1)) as threads,
        ):
            started = [_start(alias, names, processes, threads) for alias, names in targets.items()]
            return [finish() for finish in started]

    def _end(self, results: list[Result]) -> None:
        failed = [result for result in results if result.error]
        required = [result for result in failed if result.required]
        if len(required) < len(failed):
            names = ", ".join(result.alias for result in failed if not result.required)
            self.stderr.write(f"Not migrated: {names}. The service starts without it (SWITCHYARD['OPTIONAL']).")
        if required:
            codes = {result.exit_code for result in required}
            raise CommandError(
                f"Not migrated: {', '.join(result.alias for result in required)}. The reasons are above.",
                returncode=DO_NOT_RETRY if DO_NOT_RETRY in codes else MAY_RETRY,
            )


def _start(
    alias: str, targets: list[Target] | None, processes: MigrateProcesses, threads: ThreadPoolExecutor
) -> Callable[[], Result]:
    """Start `migrate` on the alias if there is work for it. Return a function that waits for the result."""
    required = alias not in conf.optional
    try:
        make_sqlite_directory(connections[alias])
        with past_pooler(connections[alias]):
            before = pending(alias)
            todo = plan(alias, targets) if targets else before or marks(connections[alias])  # `migrate` refuses a mark
    except DatabaseError as error:
        result = Result(alias, error=first_line(error), exit_code=exit_code_of(error), required=required)
        return lambda: result
    if not todo:
        return lambda: Result(alias, required=required)
    running = threads.submit(_run, alias, targets, processes)

    def finish() -> Result:
        ended = running.result()
        after = _pending_or(before, alias)
        return Result(
            alias,
            applied=[name for name in before if name not in after],
            undone=[name for name in after if name not in before],
            seconds=ended.seconds,
            error=ended.error,
            exit_code=ended.code,
            required=required,
        )

    return finish


def _run(alias: str, targets: list[Target] | None, processes: MigrateProcesses) -> Ended:
    """Run `migrate` on the alias, once for each target, until one fails."""
    seconds = 0.0
    for arguments in [(app, name or "zero") for app, name in targets] if targets else [()]:
        ended = processes.run(alias, *arguments)
        seconds += ended.seconds
        if ended.code:
            break
    return ended._replace(seconds=round(seconds, 2))


def _pending_or(before: list[str], alias: str) -> list[str]:
    """Return the pending migrations; those of before if the alias no longer answers."""
    try:
        with past_pooler(connections[alias]):
            return pending(alias)
    except DatabaseError:
        return before


def _table(results: list[Result]) -> Table:
    table = Table("alias", "result", "applied", "seconds")
    for result in results:
        style = "red" if result.error else None
        done = len(result.applied) or -len(result.undone)
        table.add_row(result.alias, escape(result.outcome), str(done), f"{result.seconds:.1f}", style=style)
    return table
