"""`makemigrations` that expects in the history of each alias only the migrations of the alias' own apps."""

from typing import Any

from django.core.management.commands import makemigrations

from switchyard.migrations._patching import patched
from switchyard.migrations._per_alias import OwnedLoader


class Command(makemigrations.Command):
    """Django's command; the history of an alias may lack a dependency that another owner records."""

    def handle(self, *app_labels: str, **options: Any) -> None:
        with patched(makemigrations, MigrationLoader=OwnedLoader):
            super().handle(*app_labels, **options)
