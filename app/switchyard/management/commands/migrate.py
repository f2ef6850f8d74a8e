"""`migrate` per alias: it makes and records the migrations that the alias owns, and no other migrations."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from django.db.migrations.exceptions import MigrationSchemaMissing

from switchyard.management.refusals import (
    refuse_empty,
    refuse_other_owner,
    refuse_replica,
    unmanaged_notice,
    with_models,
)
from switchyard.migrations._locks_and_waits import migration_lock, wait_for_server, without_time_limits
from switchyard.migrations._patching import patched
from switchyard.migrations._per_alias import OwnedExecutor
from switchyard.migrations._sqlite_directory import make_sqlite_directory
from switchyard.routing import allow_writes
from switchyard.routing.checks.ownership import check_routing
from switchyard.routing.topology.direct import past_pooler


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
        """Refuse a wrong alias and wrong settings, then wait for the server: Django's next checks connect to it."""
        alias, label = options["database"], options["app_label"]
        refuse_empty(alias)
        refuse_replica("migrate", alias)
        refuse_other_owner(f"migrate {label}", alias, with_models([label]))
        if unmanaged_notice(alias):
            return super().execute(*args, **{**options, "skip_checks": True})
        if not options["skip_checks"] and _has_errors():
            self.check(tags=["switchyard"])  # prints them and raises
        connection = connections[alias]
        with past_pooler(connection), without_time_limits(connection):
            try:
                make_sqlite_directory(connection)
                wait_for_server(connection, seconds=options["wait"], report=self.stderr.write)
            except OperationalError as error:
                raise CommandError(f"The server of '{alias}' cannot be used: {str(error).strip()}") from error
            return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        alias = options["database"]
        if notice := unmanaged_notice(alias):
            if options["verbosity"] > 0:
                self.stdout.write(notice)
            return
        try:
            with (
                allow_writes(alias, reason="migrate"),
                migration_lock(connections[alias], report=self.stderr.write),
                patched(migrate, MigrationExecutor=OwnedExecutor),
            ):
                super().handle(*args, **options)
        except MigrationSchemaMissing as error:
            reason = " ".join(str(error).split())  # PostgreSQL shows the statement in lines of their own
            raise CommandError(
                f"'{alias}' refuses the table of applied migrations: {reason}. If others make the tables of '{alias}', "
                "add it to SWITCHYARD['UNMANAGED']."
            ) from error


def _has_errors() -> bool:
    return any(found.is_serious() and not found.is_silenced() for found in check_routing())
