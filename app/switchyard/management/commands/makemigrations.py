"""`makemigrations` that expects in the history of each alias only the migrations of the alias' own apps."""

from typing import Any

from django.core.management.commands import makemigrations

from switchyard.management.packages import refuse_to_change_packages
from switchyard.migrations._patching import patched
from switchyard.migrations._per_alias import OwnedLoader
from switchyard.routing.topology.ownership import owner_of_app


class Command(makemigrations.Command):
    """Django's command; the history of an alias may lack a dependency that another owner records."""

    def write_to_last_migration_files(self, changes: dict[str, Any]) -> None:
        """Ask the owner of each app, and not `default`, whether its last migration is applied (`--update`)."""
        for app_label, migrations in changes.items():
            with patched(makemigrations, DEFAULT_DB_ALIAS=owner_of_app(app_label)):
                super().write_to_last_migration_files({app_label: migrations})

    def write_migration_files(self, changes: dict[str, Any], *args: Any) -> None:
        """Write no migration into a package of others that a reference across databases asks for."""
        refuse_to_change_packages(changes)
        super().write_migration_files(changes, *args)

    def handle(self, *app_labels: str, **options: Any) -> None:
        with patched(makemigrations, MigrationLoader=OwnedLoader):
            super().handle(*app_labels, **options)
