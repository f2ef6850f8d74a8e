"""`wait_migrated`: end when the databases have the migrations of this code. A gate before the service starts."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connections

from switchyard.conf import conf
from switchyard.migrations import migrating, pending
from switchyard.migrations._server import in_one_line
from switchyard.routing.topology.direct import direct_settings
from switchyard.routing.topology.ownership import replicas_of


class Command(BaseCommand):
    """Wait for the owners without limit, and then for their replicas for `--replica-timeout` seconds.

    A late replica does not keep the service down, because the router reads no replica before it has caught up.
    """

    help = "Waits until no required database has a pending migration, then for the replicas to have replayed them."
    requires_system_checks = ("switchyard",)  # others may connect, and fail while a server starts

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--replica-timeout", type=float, default=60, metavar="SECONDS", help="Longest wait for replicas (60)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        owners = [alias for alias in migrating() if alias not in conf.optional]
        replicas = [replica for owner in owners for replica in replicas_of(owner)]
        for alias in (*owners, *replicas):
            connection = connections[alias].copy()  # a copy has no failover and no circuit: it asks this server
            connection.settings_dict = direct_settings(connection.settings_dict)
            connections[alias] = connection
        self._wait(owners, deadline=None)
        late = self._wait(replicas, deadline=time.monotonic() + options["replica_timeout"])
        self.stdout.write(f"Not waiting any longer for {', '.join(late)}." if late else "Every database is migrated.")

    def _wait(self, aliases: list[str], *, deadline: float | None) -> list[str]:
        """Poll until no alias has a pending migration; return the aliases that still have one at the deadline.

        Print a line for each change of an alias.
        """
        printed: dict[str, str] = {}
        while aliases:
            left = {alias: reason for alias in aliases if (reason := _reason(alias))}
            for alias in aliases:
                if left.get(alias) != printed.get(alias):
                    self.stdout.write(f"{alias}: {left.get(alias) or 'migrated'}")
                    self.stdout.flush()
            if not left or (deadline is not None and time.monotonic() > deadline):
                return list(left)
            aliases, printed = list(left), left
            time.sleep(1)
        return []


def _reason(alias: str) -> str:
    """Return why the alias is not ready; empty if it is ready."""
    try:
        names = pending(alias)
    except DatabaseError as error:
        return f"cannot be read: {in_one_line(error)}"
    finally:
        connections[alias].close()  # the next connection may lead to another server
    return f"{len(names)} to migrate, first {names[0]}" if names else ""
