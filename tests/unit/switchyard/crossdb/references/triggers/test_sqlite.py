"""The triggers of SQLite record each deletion of a parent, and survive each change of its table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections, models, transaction
from django.db.migrations.operations import AddConstraint, AlterField, CreateModel, RemoveConstraint, RenameModel
from django.db.migrations.state import ModelState, ProjectState
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.parents import (
    CHILD_APP,
    KEYS,
    PARENT_APP,
    execute,
    migrated,
    parents,
    recorded,
    rolled_back,
    stored,
)
from tests.support.scratch_tables import scratch_tables

from config.databases import topology

ALIAS = "default"


@pytest.fixture(autouse=True)
def _a_file(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Connect the aliases to empty files of this test. `default` owns the parents."""
    owners = {**settings.SWITCHYARD["OWNERS"], PARENT_APP: ALIAS, CHILD_APP: "analytics"}
    with (
        django_db_blocker.unblock(),
        connected(topology({}, data_dir=tmp_path).databases),
        override_settings(SWITCHYARD={**settings.SWITCHYARD, "OWNERS": owners}),
    ):
        yield


@pytest.mark.parametrize("kind", KEYS)
def test_delete__by_the_orm(kind: str) -> None:
    """A deleted instance and a deleted queryset are recorded, with keys that become the field's values again."""
    field, keys = KEYS[kind]
    customer = parents(field)
    with scratch_tables(ALIAS, [customer]):
        rows = stored(ALIAS, customer, keys)
        rows.get(pk=keys[0]).delete()
        rows.filter(pk__in=keys[1:]).delete()

        found = [str(customer._meta.pk.to_python(key)) for key in recorded(ALIAS)]

    assert found[0] == str(keys[0])
    assert sorted(found) == sorted(map(str, keys))


def test_delete__by_raw_sql() -> None:
    """A raw DELETE records the rows of its condition, and none if it finds none."""
    customer = parents()
    with scratch_tables(ALIAS, [customer]):
        stored(ALIAS, customer, [1, 2, 3])
        execute(ALIAS, "DELETE FROM buyers WHERE id > %s", [9])
        execute(ALIAS, "DELETE FROM buyers WHERE id > %s", [2])

        assert recorded(ALIAS) == ["3"]


def test_update__of_the_key_and_of_other_columns() -> None:
    """A changed key is recorded; another column, and a key that is set to itself, is not."""
    customer = parents()
    with scratch_tables(ALIAS, [customer]):
        rows = stored(ALIAS, customer, [1, 2])
        rows.update(word="another")
        rows.filter(pk=1).update(id=11)
        rows.filter(pk=2).update(id=2)

        assert recorded(ALIAS) == ["1"]


def test_insert__on_conflict() -> None:
    """An INSERT that updates the row that is there records nothing."""
    customer = parents()
    with scratch_tables(ALIAS, [customer]):
        rows = stored(ALIAS, customer, [1])
        rows.bulk_create(
            [customer(pk=1, word="new")], update_conflicts=True, update_fields=["word"], unique_fields=["id"]
        )

        assert recorded(ALIAS) == []


@pytest.mark.parametrize(("recursive", "expected"), [("OFF", []), ("ON", ["1", "2"])])
def test_replace__needs_a_pragma(recursive: str, expected: list[str]) -> None:
    """REPLACE fires the trigger only with `PRAGMA recursive_triggers`, as the module says."""
    customer = parents(code=models.CharField(max_length=20, unique=True))
    with scratch_tables(ALIAS, [customer]):
        customer.objects.using(ALIAS).bulk_create([customer(pk=1, code="a"), customer(pk=2, code="b")])
        execute(ALIAS, f"PRAGMA recursive_triggers = {recursive}")
        execute(ALIAS, "REPLACE INTO buyers (id, word, code) VALUES (2, '', 'a')")

        assert sorted(recorded(ALIAS)) == expected


def test_rollback__leaves_nothing() -> None:
    """A rollback, also to a savepoint, takes the deletion and its record back."""
    customer = parents()
    with scratch_tables(ALIAS, [customer]):
        rows = stored(ALIAS, customer, [1, 2])
        with transaction.atomic(using=ALIAS):
            rows.filter(pk=1).delete()
            with transaction.atomic(using=ALIAS):
                rows.filter(pk=2).delete()
                transaction.set_rollback(True, using=ALIAS)

        assert recorded(ALIAS) == ["1"]


def test_cascade__of_the_server() -> None:
    """Rows that a cascade of SQLite deletes are recorded."""
    execute(ALIAS, "CREATE TABLE regions (id integer PRIMARY KEY)")
    execute(
        ALIAS,
        "CREATE TABLE buyers (id integer PRIMARY KEY, word text,"
        " region integer REFERENCES regions (id) ON DELETE CASCADE)",
    )
    customer = parents(region=models.IntegerField(null=True, db_column="region"))
    with connections[ALIAS].schema_editor() as editor:
        customer._meta.constraints[0].constraint_sql(customer, editor)
    execute(ALIAS, "INSERT INTO regions VALUES (7)")
    execute(ALIAS, "INSERT INTO buyers VALUES (1, 'a', 7)")
    execute(ALIAS, "DELETE FROM regions")

    assert recorded(ALIAS) == ["1"]


@pytest.mark.parametrize(
    ("table", "column"), [("order", "select"), ("50%s off", "ke%y"), ("it's", "k'ey"), ("t" * 80, "k" * 80)]
)
def test_names__that_need_quotes(table: str, column: str) -> None:
    """Any name of a table and of a key's column that Django can use serves."""
    customer = parents(models.BigAutoField(primary_key=True, db_column=column), table=table, child_table=table)
    with connections[ALIAS].schema_editor() as editor:
        editor.create_model(customer)
    execute(ALIAS, f"""INSERT INTO "{table}" ("{column}", word) VALUES (1, 'a')""")
    execute(ALIAS, f'DELETE FROM "{table}"')

    assert recorded(ALIAS) == ["1"]


def creation(model: Any) -> CreateModel:
    """Return the operation that makes the table of the model."""
    state = ModelState.from_model(model)
    return CreateModel(state.name, list(state.fields.items()), state.options)


def delete(key: int, column: str = "id", table: str = "buyers") -> None:
    """Store a parent and delete it, both by raw SQL."""
    execute(ALIAS, f"INSERT INTO {table} ({column}, word) VALUES ({key}, 'a')")
    execute(ALIAS, f"DELETE FROM {table} WHERE {column} = {key}")


def test_add_constraint__forwards_and_backwards() -> None:
    """A migration adds the triggers to a table that is there, and its way back removes them; records stay."""
    customer = parents()
    made = creation(customer)
    created = migrated(ALIAS, ProjectState(), CreateModel("Customer", made.fields, {**made.options, "constraints": []}))
    added = AddConstraint("customer", customer._meta.constraints[0])
    delete(1)
    migrated(ALIAS, created, added)
    delete(2)
    rolled_back(ALIAS, created, added)
    delete(3)

    assert recorded(ALIAS) == ["2"]


@pytest.mark.parametrize("migrations", [1, 2])
def test_remove_constraint__leaves_no_trigger(migrations: int) -> None:
    """A removed declaration takes its triggers along, also in the migration that makes the table."""
    customer = parents()
    removed = RemoveConstraint("customer", customer._meta.constraints[0].name)
    if migrations == 1:
        migrated(ALIAS, ProjectState(), creation(customer), removed)
    else:
        migrated(ALIAS, migrated(ALIAS, ProjectState(), creation(customer)), removed)
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")

        assert cursor.fetchall() == []


def test_alter_field__copies_the_table() -> None:
    """Django copies the table to change a column: the triggers are there again, and the copy records nothing."""
    customer = parents()
    state = migrated(ALIAS, ProjectState(), creation(customer))
    stored(ALIAS, customer, [5])
    migrated(ALIAS, state, AlterField("customer", "word", models.CharField(max_length=50, default="x")))
    assert recorded(ALIAS) == []
    delete(1)
    execute(ALIAS, "UPDATE buyers SET id = 6 WHERE id = 5")

    assert recorded(ALIAS) == ["1", "5"]


@pytest.mark.parametrize(("name", "options"), [("number", {}), ("id", {"db_column": "number"})])
def test_alter_field__renames_the_key(name: str, options: dict[str, str]) -> None:
    """After a change of the key's column the triggers name the new column, also without a new declaration."""
    before = parents(models.BigIntegerField(primary_key=True))
    after = parents(models.BigIntegerField(primary_key=True, **options), name=name)
    migrated(ALIAS, ProjectState(), creation(before))
    with connections[ALIAS].schema_editor() as editor:
        editor.alter_field(before, before._meta.pk, after._meta.pk)
    delete(1, "number")

    assert recorded(ALIAS) == ["1"]


def test_rename_model__keeps_the_triggers() -> None:
    """The triggers go with a renamed table, and a later migration removes them."""
    customer = parents(table="shop_customer")
    made = creation(customer)
    del made.options["db_table"]
    state = migrated(ALIAS, ProjectState(), made)
    state = migrated(ALIAS, state, RenameModel("Customer", "Guest"))
    delete(1, table="shop_guest")
    migrated(ALIAS, state, RemoveConstraint("guest", customer._meta.constraints[0].name))
    delete(2, table="shop_guest")

    assert recorded(ALIAS) == ["1"]


def test_sqlmigrate__prints_statements_that_run() -> None:
    """The SQL of `sqlmigrate` makes the table with its triggers."""
    for statement in migrated(ALIAS, ProjectState(), creation(parents()), collect_sql=True):
        execute(ALIAS, statement)
    delete(1)

    assert recorded(ALIAS) == ["1"]


def test_add_constraint__of_a_second_reference() -> None:
    """Two references to the same parents get a record each; the table of tombstones may be there already."""
    first, second = parents(), parents(child_table="others")
    state = migrated(ALIAS, ProjectState(), creation(first))
    migrated(ALIAS, state, AddConstraint("customer", second._meta.constraints[0]))
    delete(1)

    assert recorded(ALIAS) == ["1", "1"]
