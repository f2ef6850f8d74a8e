"""`migrate`, per alias: what the alias owns is made and recorded, nothing else is."""

from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connections

from switchyard.migrations import OwnedExecutor, alone, make_room, owns, swapped, wait_for_server, without_time_limits
from switchyard.routing import allow_writes
from switchyard.routing.topology.ownership import owner_of_app, replicated_by


class Command(migrate.Command):
    """Django's command with the alias' own migrations, its lock, and time for its server to start."""

    help = "Migrates what a database owns, as SWITCHYARD['OWNERS'] says, and records nothing else there."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--wait",
            type=float,
            default=0,
            metavar="SECONDS",
            help="How long to wait for a server that is not there yet; a wrong password is not waited for.",
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Wait for the server before Django's checks, because those of a database connect to it."""
        alias = options["database"]
        refuse(alias, options["app_label"])
        connection = connections[alias]
        with without_time_limits(connection):
            try:
                make_room(connection)
                wait_for_server(connection, seconds=options["wait"], say=self.stderr.write)
            except OperationalError as error:
                raise CommandError(f"The server of '{alias}' cannot be used: {str(error).strip()}") from error
            return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        alias = options["database"]
        with (
            allow_writes(alias, reason="migrate"),
            alone(connections[alias], say=self.stderr.write),
            swapped(migrate, MigrationExecutor=OwnedExecutor),
        ):
            super().handle(*args, **options)


def refuse(alias: str, app_label: str | None) -> None:
    """Raise CommandError for a replica, and for an app that another alias owns."""
    if owner := replicated_by(alias):
        raise CommandError(
            f"'{alias}' is a replica of '{owner}' and gets its tables from there. Run: migrate --database={owner}"
        )
    if app_label in apps.app_configs and not owns(alias, app_label):
        owner = owner_of_app(app_label)
        raise CommandError(
            f"App '{app_label}' is owned by '{owner}', not by '{alias}'. Run: migrate {app_label} --database={owner}"
        )
