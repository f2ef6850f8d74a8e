"""The triggers of SQLite record each deletion of a parent, and survive each change of its table."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections, models
from django.db.migrations.operations import AlterField, RemoveConstraint
from django.db.migrations.state import ProjectState
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.deletion_cases import (
    test_add_constraint__forwards_and_backwards,
    test_create_model__with_a_default_of_the_server,
    test_delete__by_raw_sql,
    test_delete__by_the_orm,
    test_delete_model__takes_the_triggers_along,
    test_insert__on_conflict,
    test_renamed__table,
    test_rollback__leaves_nothing,
    test_run_sql__renames_the_tombstones,
    test_sqlmigrate__prints_statements_that_run,
    test_update__of_other_columns,
    test_update__of_the_key,
)
from tests.support.parents import (
    CHILD_APP,
    PARENT_APP,
    creation,
    delete,
    execute,
    migrated,
    parents,
    recorded,
    stored,
)
from tests.support.scratch_tables import scratch_tables

from config.databases import topology

__all__ = [  # that hold for each vendor
    "test_add_constraint__forwards_and_backwards",
    "test_create_model__with_a_default_of_the_server",
    "test_delete__by_raw_sql",
    "test_delete__by_the_orm",
    "test_delete_model__takes_the_triggers_along",
    "test_insert__on_conflict",
    "test_renamed__table",
    "test_rollback__leaves_nothing",
    "test_run_sql__renames_the_tombstones",
    "test_sqlmigrate__prints_statements_that_run",
    "test_update__of_other_columns",
    "test_update__of_the_key",
]

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


@pytest.fixture
def alias() -> str:
    """The owner of the parents, for the tests that hold for each vendor."""
    return ALIAS


@pytest.mark.parametrize(("recursive", "expected"), [("OFF", []), ("ON", ["1", "2"])])
def test_replace__needs_a_pragma(recursive: str, expected: list[str]) -> None:
    """REPLACE fires the trigger only with `PRAGMA recursive_triggers`, as the module says."""
    customer = parents(code=models.CharField(max_length=20, unique=True))
    with scratch_tables(ALIAS, [customer]):
        customer.objects.using(ALIAS).bulk_create([customer(pk=1, code="a"), customer(pk=2, code="b")])
        execute(ALIAS, f"PRAGMA recursive_triggers = {recursive}")
        execute(ALIAS, "REPLACE INTO buyers (id, word, code) VALUES (2, '', 'a')")

        assert sorted(recorded(ALIAS)) == expected


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
    delete(ALIAS, 1)
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
    delete(ALIAS, 1, column="number")

    assert recorded(ALIAS) == ["1"]
