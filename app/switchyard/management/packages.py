"""References to models of other packages: `makemigrations` must not write their migrations into the packages."""

import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError
from django.db.migrations import Migration
from django.db.migrations.operations import AddConstraint, RemoveConstraint
from django.db.migrations.operations.base import Operation
from django.db.migrations.writer import MigrationWriter, OperationWriter

from switchyard.crossdb import ForgetDeletionsOf, RecordDeletions, RecordDeletionsOf
from switchyard.routing.topology.ownership import owner_of_app

_INSTALLED = tuple(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib"))


def refuse_to_change_packages(changes: Mapping[str, Iterable[Migration]]) -> None:
    """Raise CommandError with the operation to write, if a reference changes the model of an installed package."""
    for app_label, migrations in changes.items():
        found = [
            operation
            for migration in migrations
            for operation in migration.operations
            if _is_of_reference(operation) and _is_installed(app_label, migration)
        ]
        if found:
            lines = "\n".join(_lines(app_label, found))
            raise CommandError(
                f"A reference across databases changes '{app_label}', an installed package, whose migrations are not "
                f"yours. Nothing was written. Run `makemigrations --empty` for an app of yours whose owner is "
                f"'{owner_of_app(app_label)}', let that migration depend on the newest one of '{app_label}', write "
                f"`import switchyard.crossdb` into it, and give it these operations:\n{lines}"
            )


def _is_of_reference(operation: Operation) -> bool:
    if isinstance(operation, AddConstraint):
        return isinstance(operation.constraint, RecordDeletions)
    return isinstance(operation, RemoveConstraint) and operation.name.startswith("deletions_")


def _is_installed(app_label: str, migration: Migration) -> bool:
    """Return True if the migration would be written into a directory of installed packages."""
    path = Path(MigrationWriter(migration).path)
    return app_label in apps.app_configs and any(path.is_relative_to(directory) for directory in _INSTALLED)


def _lines(app_label: str, operations: Iterable[Any]) -> Iterator[str]:
    for operation in operations:
        model = apps.get_model(app_label, operation.model_name)._meta.label
        is_removal = isinstance(operation, RemoveConstraint)
        ours: Operation = (
            ForgetDeletionsOf(model, operation.name) if is_removal else RecordDeletionsOf(model, operation.constraint)
        )
        yield OperationWriter(ours).serialize()[0]
