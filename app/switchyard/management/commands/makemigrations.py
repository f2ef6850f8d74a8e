"""`makemigrations`, which reads every alias' history and has to know that each records its own migrations only."""

from typing import Any

from django.core.management.commands import makemigrations

from switchyard.migrations import OwnedLoader, swapped


class Command(makemigrations.Command):
    """Django's command; a dependency on another owner's migration is no hole in an alias' history."""

    def handle(self, *app_labels: str, **options: Any) -> None:
        with swapped(makemigrations, MigrationLoader=OwnedLoader):
            super().handle(*app_labels, **options)
