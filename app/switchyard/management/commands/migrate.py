"""`migrate` per alias: it makes and records the migrations that the alias owns, and no other migrations."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import DatabaseError, OperationalError, connections
from django.db.migrations.exceptions import MigrationSchemaMissing

from switchyard.crossdb.references.checks.servers import role_of_migrations
from switchyard.management.refusals import (
    refuse_empty,
    refuse_other_owner,
    refuse_replica,
    unmanaged_notice,
    with_models,
)
from switchyard.migrations._exit_codes import DO_NOT_RETRY, MAY_RETRY, exit_code_of
from switchyard.migrations._lock import LockTimeoutError, migration_lock
from switchyard.migrations._marks import clear, marks, remedy
from switchyard.migrations._patching import patched
from switchyard.migrations._per_alias import OwnedExecutor
from switchyard.migrations._server import in_one_line, wait_for_server, without_time_limits
from switchyard.migrations._sqlite_directory import make_sqlite_directory
from switchyard.migrations._stopping import StoppedError, stops_on_sigterm
from switchyard.routing import allow_writes
from switchyard.routing.checks.ownership import check_routing
from switchyard.routing.topology.direct import past_pooler


class ServerUnusableError(Exception):
    """The server does not answer, or refuses this user."""


class Command(migrate.Command):
    """Django's command with the alias' own migrations, a lock for the alias, and a wait for its server to start."""

    help = "Migrates the apps that SWITCHYARD['OWNERS'] gives to the database, and records no other migrations there."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.epilog = (
            "Exit codes: 0 migrated, or nothing to do; 1 failed or stopped by SIGTERM, another start may succeed (no "
            "server, lost connection, lock wait, deadlock); 3 failed, and another start fails as well (an error of a "
            "migration, wrong settings, a half-done migration). After SIGTERM the running migration ends and no other "
            "one begins. Where the database does not roll a migration back (MySQL, MariaDB, `atomic = False`), a row "
            "of django_migrations marks it until it ends; a start that finds such a mark says what to check."
        )
        parser.add_argument(
            "--wait",
            type=float,
            default=0,
            metavar="SECONDS",
            help="Longest wait for a server that does not answer yet (0). A wrong password fails at once.",
        )
        parser.add_argument(
            "--lock-wait",
            type=float,
            default=600,
            metavar="SECONDS",
            help="Longest wait for another migrate of this database to end (600).",
        )
        parser.add_argument(
            "--clear-mark",
            metavar="APP.MIGRATION",
            help="Remove the mark of this half-done migration first, as the error of the mark says. Without a mark: "
            "no effect.",
        )

    def run_from_argv(self, argv: list[str]) -> None:
        """End with an exit code that tells whether a retry helps, also after an error of a migration."""
        try:
            super().run_from_argv(argv)
        except Exception as error:  # noqa: BLE001 - printed, and given to the caller as an exit code
            traceback.print_exc()
            sys.exit(exit_code_of(error))

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run between the handlers of SIGTERM and of errors: each error says by its code whether a retry helps."""
        with stops_on_sigterm(), _exit_codes():
            return self._execute(*args, **options)

    def _execute(self, *args: Any, **options: Any) -> str | None:
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
        with past_pooler(connection), without_time_limits(connection), role_of_migrations():
            try:
                make_sqlite_directory(connection)
                wait_for_server(connection, seconds=options["wait"], report=self.stderr.write)
            except OperationalError as error:
                raise ServerUnusableError(f"The server of '{alias}' cannot be used: {str(error).strip()}") from error
            return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        alias = options["database"]
        if notice := unmanaged_notice(alias):
            if options["verbosity"] > 0:
                self.stdout.write(notice)
            return
        connection = connections[alias]
        changes_nothing = options["plan"] or options["check_unapplied"]
        with (
            allow_writes(alias, reason="migrate"),
            migration_lock(connection, report=self.stderr.write, seconds=options["lock_wait"]),
            patched(migrate, MigrationExecutor=OwnedExecutor),
        ):
            if not changes_nothing:
                self._refuse_half_done(alias, options["clear_mark"])
            try:
                super().handle(*args, **options)
            except MigrationSchemaMissing as error:
                raise CommandError(
                    f"'{alias}' refuses the table of applied migrations: {in_one_line(error)}. If others make the "
                    f"tables of '{alias}', add it to SWITCHYARD['UNMANAGED']."
                ) from error

    def _refuse_half_done(self, alias: str, cleared: str | None) -> None:
        """Refuse to start on a database with a mark, after the removal of the mark that the caller names."""
        found = marks(connections[alias])
        for mark in found:
            if mark.migration != cleared:
                raise CommandError(remedy(mark, connections[alias]))
        if cleared and found:
            clear(connections[alias], cleared)
            self.stdout.write(f"Removed the mark of '{cleared}'.")
        elif cleared:
            self.stdout.write(f"'{cleared}' has no mark on '{alias}'.")


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Give each CommandError of this block the exit code that tells whether a retry helps."""
    try:
        yield
    except (StoppedError, LockTimeoutError, ServerUnusableError) as error:
        raise CommandError(str(error), returncode=MAY_RETRY) from error
    except CommandError as error:
        error.returncode = MAY_RETRY if _is_transient(error.__cause__) else DO_NOT_RETRY
        raise


def _is_transient(cause: BaseException | None) -> bool:
    """Return True if the cause, or the first cause below it, is an error of the server that may pass."""
    causes = [cause, cause.__cause__ or cause.__context__] if cause else []
    return any(isinstance(each, DatabaseError) and exit_code_of(each) == MAY_RETRY for each in causes)


def _has_errors() -> bool:
    return any(found.is_serious() and not found.is_silenced() for found in check_routing())
