"""`wait_migrated`: return when the databases are ready for this code. A gate for start-up; it asks nobody but them."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connections

from switchyard.conf import conf
from switchyard.migrations import migrating, pending
from switchyard.routing.topology.ownership import replicas_of


class Command(BaseCommand):
    """Wait for owners without limit, and for their replicas as long as is asked for.

    A replica that is late is no reason to stay down: the router leaves it alone until it has caught up.
    """

    help = "Waits until no required database has a pending migration, then for the replicas to have replayed them."
    requires_system_checks = ("switchyard",)  # a check of a database would fail where this waits

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--replica-timeout", type=float, default=60, metavar="SECONDS", help="Longest wait for replicas (60)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        owners = [alias for alias in migrating() if alias not in conf.optional]
        self._wait(owners, deadline=None)
        replicas = [replica for owner in owners for replica in replicas_of(owner)]
        for replica in replicas:
            connections[replica] = connections[replica].copy()  # which asks that server, and none in its place
        late = self._wait(replicas, deadline=time.monotonic() + options["replica_timeout"])
        self.stdout.write(f"Not waiting any longer for {', '.join(late)}." if late else "Every database is migrated.")

    def _wait(self, aliases: list[str], *, deadline: float | None) -> list[str]:
        """Poll until none has anything left; return those that have at the deadline. Print one line per change."""
        said: dict[str, str] = {}
        while aliases:
            left = {alias: reason for alias in aliases if (reason := _reason(alias))}
            for alias in aliases:
                if left.get(alias) != said.get(alias):
                    self.stdout.write(f"{alias}: {left.get(alias) or 'migrated'}")
                    self.stdout.flush()
            if not left or (deadline is not None and time.monotonic() > deadline):
                return list(left)
            aliases, said = list(left), left
            time.sleep(1)
        return []


def _reason(alias: str) -> str:
    """Say why the alias is not ready; nothing when it is."""
    try:
        names = pending(alias)
    except DatabaseError as error:
        return f"cannot be read ({type(error).__name__})"
    finally:
        connections[alias].close()  # its next state may be another server's
    return f"{len(names)} to migrate, first {names[0]}" if names else ""
