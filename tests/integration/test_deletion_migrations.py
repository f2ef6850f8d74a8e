"""Migrations of the parents make the triggers on real servers, keep them working, and remove them."""

from typing import Any

import pytest
from django.db import connections, models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.operations import (
    AddConstraint,
    AlterModelTable,
    CreateModel,
    DeleteModel,
    RemoveConstraint,
    RenameModel,
    RunSQL,
)
from django.db.migrations.questioner import NonInteractiveMigrationQuestioner
from django.db.migrations.state import ModelState, ProjectState
from tests.support.parents import PARENT_APP, REFERENCE, execute, migrated, parents, recorded, rolled_back, state_of
from tests.support.recording_owners import alias, mysql, owners, pg, servers

from switchyard.crossdb import RecordDeletions

pytestmark = pytest.mark.docker

__all__ = ["alias", "mysql", "owners", "pg", "servers"]  # fixtures


def creation(model: Any) -> CreateModel:
    """Return the operation that makes the table of the model."""
    state = ModelState.from_model(model)
    return CreateModel(state.name, list(state.fields.items()), state.options)


def without_recording(model: Any) -> CreateModel:
    """Return the operation that makes the table of the model, without the declaration."""
    made = creation(model)
    return CreateModel(made.name, made.fields, {**made.options, "constraints": []})


def declared(model: Any) -> AddConstraint:
    """Return the operation that adds the declaration to the model."""
    return AddConstraint("customer", model._meta.constraints[0])


def delete(alias: str, key: int, table: str = "buyers", column: str = "id") -> None:
    """Store a parent and delete it, both by raw SQL."""
    execute(alias, f"INSERT INTO {table} ({column}, word) VALUES ({key}, 'a')")
    execute(alias, f"DELETE FROM {table} WHERE {column} = {key}")


def test_add_constraint__forwards_and_backwards(alias: str) -> None:
    """A migration adds the triggers to a table that is there, and its way back removes them; records stay."""
    customer = parents()
    created = migrated(alias, ProjectState(), without_recording(customer))
    try:
        delete(alias, 1)
        migrated(alias, created, declared(customer))
        delete(alias, 2)
        execute(alias, "INSERT INTO buyers (id, word) VALUES (3, 'a')")
        execute(alias, "UPDATE buyers SET id = 4 WHERE id = 3")
        rolled_back(alias, created, declared(customer))
        delete(alias, 5)

        assert recorded(alias) == ["2", "3"]
    finally:
        execute(alias, "DROP TABLE buyers")


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


def test_create_model__with_a_default_of_the_server(alias: str) -> None:
    """Django makes the constraints of a model with `db_default` in another way; the triggers are there as well."""
    customer = parents(rank=models.CharField(max_length=9, db_default="first"))
    migrated(alias, ProjectState(), creation(customer))
    try:
        delete(alias, 1)
        execute(alias, "INSERT INTO buyers (id, word) VALUES (2, 'a')")
        execute(alias, "UPDATE buyers SET id = 3 WHERE id = 2")

        assert recorded(alias) == ["1", "2"]
    finally:
        execute(alias, "DROP TABLE buyers")


@pytest.mark.parametrize("operation", [RenameModel("Customer", "Guest"), AlterModelTable("customer", "guests")])
def test_renamed__table(alias: str, operation: Any) -> None:
    """The triggers go with a renamed table, and a later migration removes them."""
    customer = parents(table="shop_customer")
    options = {key: value for key, value in creation(customer).options.items() if key != "db_table"}
    state = migrated(alias, ProjectState(), CreateModel("Customer", creation(customer).fields, options))
    table, name = ("shop_guest", "guest") if isinstance(operation, RenameModel) else ("guests", "customer")
    state = migrated(alias, state, operation)
    try:
        delete(alias, 1, table)
        migrated(alias, state, RemoveConstraint(name, customer._meta.constraints[0].name))
        delete(alias, 2, table)

        assert recorded(alias) == ["1"]
    finally:
        execute(alias, f"DROP TABLE {table}")


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


def test_run_sql__renames_the_tombstones(alias: str) -> None:
    """A migration of another name of the reference gives the waiting tombstones this name, and its way back the old."""
    customer, renamed = parents(), RecordDeletions(reference="orders.Purchase.customer", name="deletions_purchases")
    rename = "UPDATE switchyard_tombstone SET reference = '{}' WHERE reference = '{}'"
    names = (renamed.reference, REFERENCE)
    operations = [
        RemoveConstraint("customer", customer._meta.constraints[0].name),
        AddConstraint("customer", renamed),
        RunSQL(rename.format(*names), rename.format(*reversed(names))),
    ]
    state = migrated(alias, ProjectState(), creation(customer))
    try:
        delete(alias, 1)
        after = migrated(alias, state, *operations)
        delete(alias, 2)
        assert (recorded(alias), recorded(alias, renamed.reference)) == ([], ["1", "2"])
        migrated(alias, after, RemoveConstraint("customer", renamed.name), declared(customer))
        rolled_back(alias, state, operations[-1])

        assert (recorded(alias), recorded(alias, renamed.reference)) == (["1", "2"], [])
    finally:
        execute(alias, "DROP TABLE buyers")


def test_sqlmigrate__prints_statements_that_run(alias: str) -> None:
    """An administrator can run the SQL of `sqlmigrate`, forwards, on a server that has the table of tombstones."""
    customer = parents()
    printed = migrated(alias, ProjectState(), creation(customer), collect_sql=True)
    other = parents(child_table="others")  # another reference to the same parents
    try:
        for statement in [*printed, *migrated(alias, state_of(parents()), declared(other), collect_sql=True)]:
            execute(alias, statement)
        delete(alias, 1)

        assert recorded(alias) == ["1", "1"]  # one for each reference
    finally:
        execute(alias, "DROP TABLE buyers")


def test_delete_model__takes_the_triggers_along(alias: str) -> None:
    """A table that is dropped and made again gets its triggers anew."""
    customer = parents()
    state = migrated(alias, ProjectState(), creation(customer))
    migrated(alias, state, DeleteModel("Customer"))
    migrated(alias, ProjectState(), creation(customer))
    try:
        delete(alias, 1)

        assert recorded(alias) == ["1"]
    finally:
        execute(alias, "DROP TABLE buyers")
