"""`flush`, which may empty a read-only owner, too: it names its database and asks first. Tests' clean-up calls it."""

from typing import Any

from django.core.management.commands import flush

from switchyard.routing import allow_writes


class Command(flush.Command):
    """Django's command, let through where READ_ONLY refuses what a request would write."""

    def handle(self, **options: Any) -> None:
        with allow_writes(options["database"], reason="flush"):
            super().handle(**options)
