"""Fill the databases with sample data."""

from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.core.management import BaseCommand, CommandParser
from django.utils.module_loading import import_string
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

type Create = Callable[..., int]

PARTS = {  # what is made, and the app that makes it: events need the users
    "users": "accounts",
    "events": "analytics",
    "customers": "legacy",
}

HELP = """\
Fill the databases with sample data: users, events of these users over January 2026, and customers of the older
application with their orders.

The same --seed makes the same rows on every machine. Each part is one transaction, and is left alone when it is there
already, so that the command may run again; for more rows choose another --seed. A part is left out whose app is not
installed, or whose tables this project does not make (LEGACY_MANAGED=false). Read-only databases are written as well:
sample data is not a request.

  manage.py seed                                    a small set, in a second or two
  manage.py seed --users 100000 --events 2000000    enough to measure with
  manage.py seed --seed 2 --customers 0             a second set of users and events
"""


class Command(BaseCommand):
    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **options)

    def add_arguments(self, parser: CommandParser) -> None:
        for part, default in (("users", 200), ("events", 5000), ("customers", 100)):
            parser.add_argument(
                f"--{part}", type=_count, default=default, metavar="N", help=f"how many {part} to make (%(default)s)"
            )
        parser.add_argument("--seed", type=_count, default=1, metavar="S", help="which set to make (%(default)s)")

    def handle(self, *, seed: int, **options: Any) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description:9}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        outcome = {}
        with Progress(*columns, console=console, transient=True) as progress:
            for part, app in PARTS.items():
                count: int = options[part]
                if count and _made_here(app):
                    create: Create = import_string(f"{app}.samples.create")
                    task = progress.add_task(part, total=count)
                    outcome[part] = create(
                        count=count, seed=seed, advance=lambda made, task=task: progress.advance(task, made)
                    )
        for part, made in outcome.items():
            self.stdout.write(f"{made:,} {part}" if made else f"{part}: there already for seed {seed}, left alone")


def _made_here(app: str) -> bool:
    return apps.is_installed(app) and all(model._meta.managed for model in apps.get_app_config(app).get_models())


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is no number. Give 0 or more.")
    return int(text)
