"""Tests of the triggers and their migrations that hold for each vendor. A test module imports them; it has an `alias`.

The alias is the owner of the parents, and its tables and tombstones are those of one test.
"""

from typing import Any

import pytest
from django.db import connections, models, transaction
from django.db.migrations.operations import (
    AddConstraint,
    AlterModelTable,
    CreateModel,
    DeleteModel,
    RemoveConstraint,
    RenameModel,
    RunSQL,
)
from django.db.migrations.state import ProjectState
from tests.support.parents import (
    KEYS,
    REFERENCE,
    creation,
    declared,
    delete,
    execute,
    migrated,
    parents,
    recorded,
    rolled_back,
    state_of,
    stored,
    without_recording,
)
from tests.support.scratch_tables import scratch_tables

from switchyard.crossdb import RecordDeletions


@pytest.mark.parametrize("kind", KEYS)
def test_delete__by_the_orm(alias: str, kind: str) -> None:
    """A deleted instance and a deleted queryset are recorded, with keys that become the field's values again."""
    field, keys = KEYS[kind]
    customer = parents(field)
    with scratch_tables(alias, [customer]):
        rows = stored(alias, customer, keys)
        rows.get(pk=keys[0]).delete()
        rows.filter(pk__in=keys[1:]).delete()

        found = [str(customer._meta.pk.to_python(key)) for key in recorded(alias)]

    assert found[0] == str(keys[0])
    assert sorted(found) == sorted(map(str, keys))


def test_delete__by_raw_sql(alias: str) -> None:
    """A raw DELETE records the rows of its condition; a DELETE that finds none records nothing."""
    customer = parents()
    with scratch_tables(alias, [customer]):
        stored(alias, customer, [1, 2, 3, 4])
        execute(alias, "DELETE FROM buyers WHERE id > %s", [9])
        assert recorded(alias) == []
        execute(alias, "DELETE FROM buyers WHERE id > %s", [2])

        assert sorted(recorded(alias)) == ["3", "4"]


def test_update__of_the_key(alias: str) -> None:
    """A changed key counts as a deletion of the old one; a key that is set to itself is no change."""
    customer = parents()
    with scratch_tables(alias, [customer]):
        rows = stored(alias, customer, [1, 2, 3])
        rows.filter(pk=1).update(id=11)
        rows.filter(pk=2).update(id=2)

        assert recorded(alias) == ["1"]


def test_update__of_other_columns(alias: str) -> None:
    """A save and an UPDATE of other columns are no deletions."""
    customer = parents()
    with scratch_tables(alias, [customer]):
        rows = stored(alias, customer, [1, 2])
        rows.get(pk=1).save(using=alias)
        rows.update(word="another")

        assert recorded(alias) == []


def test_insert__on_conflict(alias: str) -> None:
    """An INSERT that updates the row that is there records nothing."""
    customer = parents()
    with scratch_tables(alias, [customer]):
        rows = stored(alias, customer, [1, 2])
        unique = ["id"] if connections[alias].features.supports_update_conflicts_with_target else []
        rows.bulk_create(
            [customer(pk=1, word="new")], update_conflicts=True, update_fields=["word"], unique_fields=unique
        )

        assert recorded(alias) == []
        assert rows.get(pk=1).word == "new"


def test_rollback__leaves_nothing(alias: str) -> None:
    """The record is in the deletion's transaction: a rollback, also to a savepoint, takes both back."""
    customer = parents()
    with scratch_tables(alias, [customer]):
        rows = stored(alias, customer, [1, 2, 3])
        with transaction.atomic(using=alias):
            rows.filter(pk=1).delete()
            with transaction.atomic(using=alias):
                rows.filter(pk=2).delete()
                transaction.set_rollback(True, using=alias)
        with transaction.atomic(using=alias):
            rows.filter(pk=3).delete()
            transaction.set_rollback(True, using=alias)

        assert recorded(alias) == ["1"]


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
