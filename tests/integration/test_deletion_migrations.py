"""Migrations of the parents make the triggers on real servers, keep them working, and remove them."""

from typing import Any

import pytest
from django.db import connections, models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.operations import (
    RemoveConstraint,
)
from django.db.migrations.questioner import NonInteractiveMigrationQuestioner
from django.db.migrations.state import ProjectState
from tests.support.deletion_cases import (
    test_add_constraint__forwards_and_backwards,
    test_create_model__with_a_default_of_the_server,
    test_delete_model__takes_the_triggers_along,
    test_renamed__table,
    test_run_sql__renames_the_tombstones,
    test_sqlmigrate__prints_statements_that_run,
)
from tests.support.parents import PARENT_APP, creation, delete, execute, migrated, parents, recorded, state_of
from tests.support.recording_owners import alias, mysql, pg, servers

pytestmark = pytest.mark.docker

__all__ = [  # fixtures, and tests that hold for each vendor
    "alias",
    "mysql",
    "pg",
    "servers",
    "test_add_constraint__forwards_and_backwards",
    "test_create_model__with_a_default_of_the_server",
    "test_delete_model__takes_the_triggers_along",
    "test_renamed__table",
    "test_run_sql__renames_the_tombstones",
    "test_sqlmigrate__prints_statements_that_run",
]


def test_remove_constraint__leaves_no_trigger(alias: str) -> None:
    """A removed declaration takes its triggers along."""
    customer = parents()
    state = migrated(alias, ProjectState(), creation(customer))
    try:
        delete(alias, 1)
        migrated(alias, state, RemoveConstraint("customer", customer._meta.constraints[0].name))
        delete(alias, 2)

        assert recorded(alias) == ["1"]
        assert triggers(alias) == 0
    finally:
        execute(alias, "DROP TABLE buyers")


def triggers(alias: str) -> int:
    """Return the number of triggers on the parents."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT trigger_name) FROM information_schema.triggers WHERE event_object_table = 'buyers'"
        )
        return int(cursor.fetchone()[0])


def test_remove_constraint__in_the_migration_of_the_table(alias: str) -> None:
    """A declaration that one migration adds and removes makes no trigger."""
    customer = parents()
    migrated(
        alias,
        ProjectState(),
        creation(customer),
        RemoveConstraint("customer", customer._meta.constraints[0].name),
    )
    try:
        assert triggers(alias) == 0
    finally:
        execute(alias, "DROP TABLE buyers")


def changes(before: ProjectState, after: ProjectState) -> list[Any]:
    """Return the operations that `makemigrations` writes for the parents, if each question is answered by yes."""
    questioner = NonInteractiveMigrationQuestioner(specified_apps=[PARENT_APP], dry_run=True)
    questioner.ask_rename = lambda *_args: True  # type: ignore[method-assign]
    detected = MigrationAutodetector(before, after, questioner)._detect_changes()
    return [operation for migration in detected[PARENT_APP] for operation in migration.operations]


KEY_CHANGES = {
    "a renamed field": ("number", {}),
    "another column": ("id", {"db_column": "number"}),
}


@pytest.mark.parametrize("change", KEY_CHANGES)
def test_renamed__key(alias: str, change: str) -> None:
    """The migration that gives the key another column makes the triggers again, with this column."""
    name, options = KEY_CHANGES[change]
    before = parents(models.BigIntegerField(primary_key=True))
    after = parents(models.BigIntegerField(primary_key=True, **options), name=name)
    state = migrated(alias, ProjectState(), creation(before))
    try:
        migrated(alias, state, *changes(state_of(before), state_of(after)))
        delete(alias, 1, column="number")
        execute(alias, "INSERT INTO buyers (number, word) VALUES (2, 'a')")
        execute(alias, "UPDATE buyers SET number = 3 WHERE number = 2")

        assert recorded(alias) == ["1", "2"]
    finally:
        execute(alias, "DROP TABLE buyers")
