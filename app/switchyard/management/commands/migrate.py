"""`migrate` per alias: it makes and records the migrations that the alias owns, and no other migrations."""

from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connections

from switchyard.migrations._locks_and_waits import migration_lock, wait_for_server, without_time_limits
from switchyard.migrations._patching import patched
from switchyard.migrations._per_alias import OwnedExecutor, owns
from switchyard.migrations._sqlite_directory import make_sqlite_directory
from switchyard.routing import allow_writes
from switchyard.routing.topology.ownership import owner_of_app, replicated_by


class Command(migrate.Command):
    """Django's command with the alias' own migrations, a lock for the alias, and a wait for its server to start."""

    help = "Migrates the apps that SWITCHYARD['OWNERS'] gives to the database, and records no other migrations there."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--wait",
            type=float,
            default=0,
            metavar="SECONDS",
            help="Longest wait for a server that does not answer yet (0). A wrong password fails at once.",
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Wait for the server before the system checks run, because some of them connect to it."""
        alias = options["database"]
        check_alias(alias, options["app_label"])
        connection = connections[alias]
        with without_time_limits(connection):
            try:
                make_sqlite_directory(connection)
                wait_for_server(connection, seconds=options["wait"], report=self.stderr.write)
            except OperationalError as error:
                raise CommandError(f"The server of '{alias}' cannot be used: {str(error).strip()}") from error
            return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        alias = options["database"]
        with (
            allow_writes(alias, reason="migrate"),
            migration_lock(connections[alias], report=self.stderr.write),
            patched(migrate, MigrationExecutor=OwnedExecutor),
        ):
            super().handle(*args, **options)


def check_alias(alias: str, app_label: str | None) -> None:
    """Raise CommandError if the alias is a replica, or if another alias owns the app."""
    if owner := replicated_by(alias):
        raise CommandError(
            f"'{alias}' is a replica of '{owner}' and gets its tables from there. Run: migrate --database={owner}"
        )
    if app_label in apps.app_configs and not owns(alias, app_label):
        owner = owner_of_app(app_label)
        raise CommandError(
            f"App '{app_label}' is owned by '{owner}', not by '{alias}'. Run: migrate {app_label} --database={owner}"
        )
