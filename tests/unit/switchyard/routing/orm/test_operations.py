"""RunPython and RunSQL ask the routers. They do not run on an alias that does not own the app."""

from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import Migration, RunPython, RunSQL
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

DATABASES = ["default", "replica", "analytics", "legacy"]


def apply(alias: str, operation: Operation) -> None:
    """Apply a migration of the app `accounts` with this operation."""
    migration = Migration("0002_by_hand", "accounts")
    migration.operations = [operation]
    with connections[alias].schema_editor(atomic=False) as editor:
        migration.apply(ProjectState(), editor)


@pytest.mark.parametrize(("alias", "expected"), [("default", ["default"]), ("analytics", []), ("replica", [])])
@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_run_python__on_each_alias(alias: str, expected: list[str]) -> None:
    """The function runs on the owner only, and sees the alias of the owner."""
    seen: list[str] = []

    def note(_apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
        seen.append(schema_editor.connection.alias)

    apply(alias, RunPython(note))

    assert expected == seen


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_run_sql__on_each_alias() -> None:
    """The SQL reaches the server of the owner only."""
    operation = RunSQL("DELETE FROM no_such_table")
    apply("analytics", operation)
    apply("replica", operation)

    with pytest.raises(OperationalError, match="no_such_table"):
        apply("default", operation)
