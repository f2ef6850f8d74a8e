"""Fill the databases with sample data."""

from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.core.management import BaseCommand, CommandParser
from django.utils.module_loading import import_string
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from config.service_apps import SERVICE_APPS
from switchyard.routing.topology.ownership import is_unmanaged, owner_of_app

type Create = Callable[..., int]

SAMPLES = {app.samples: app.label for app in SERVICE_APPS if app.samples}  # in the table's order: events need the users

HELP = """\
Fill the databases with sample data, such as users, events of these users over January 2026, and customers of the older
application with their orders.

The same --seed makes the same rows on every machine. The command makes the rows of each app in one transaction. It
makes none where that seed's rows exist already, so it may run again; for more rows choose another --seed. It leaves out
an app that is not installed, and tables that others make (DATABASE_LEGACY_MANAGED=false). It also writes to read-only
databases: READ_ONLY is a rule for requests.

  manage.py seed                                    a small set, in a second or two
  manage.py seed --users 100000 --events 2000000    enough to measure with
  manage.py seed --seed 2 --customers 0             a second set of users and events
"""


class Command(BaseCommand):
    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **options)

    def add_arguments(self, parser: CommandParser) -> None:
        for samples in SAMPLES:
            parser.add_argument(
                f"--{samples.rows}",
                type=_count,
                default=samples.count,
                metavar="N",
                help=f"how many {samples.rows} to make (%(default)s)",
            )
        parser.add_argument("--seed", type=_count, default=1, metavar="S", help="which set to make (%(default)s)")

    def handle(self, *, seed: int, **options: Any) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description:9}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        outcome = {}
        with Progress(*columns, console=console, transient=True) as progress:
            for samples, app in SAMPLES.items():
                count: int = options[samples.rows]
                if count and _is_managed(app):
                    create: Create = import_string(f"{app}.samples.create")
                    task = progress.add_task(samples.rows, total=count)
                    outcome[samples.rows] = create(
                        count=count, seed=seed, advance=lambda made, task=task: progress.advance(task, made)
                    )
        for rows, made in outcome.items():
            self.stdout.write(f"{made:,} {rows}" if made else f"{rows}: seed {seed} has rows already, left alone")


def _is_managed(app: str) -> bool:
    """Tell whether the app is installed and this project's migrations make its tables."""
    return apps.is_installed(app) and not is_unmanaged(owner_of_app(app))


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is no number. Give a whole number, 0 or more.")
    return int(text)
