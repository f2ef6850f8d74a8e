"""`flush` that may empty a read-only owner as well.

The command names its database and asks first, and Django's test cases call it after each test.
"""

from typing import Any

from django.core.management.commands import flush

from switchyard.routing import allow_writes


class Command(flush.Command):
    """Django's command, with the right to write to an owner that READ_ONLY names."""

    def handle(self, **options: Any) -> None:
        with allow_writes(options["database"], reason="flush"):
            super().handle(**options)
