"""The arguments of the declaration: the column of the parent's key, the way to record, and the name."""

from typing import Any

import pytest
from django.db import models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.questioner import NonInteractiveMigrationQuestioner
from django.db.migrations.state import ProjectState
from tests.support.parents import PARENT_APP, REFERENCE, parents, state_of

from switchyard.crossdb import RecordDeletions

KEY = models.BigIntegerField(primary_key=True)


def changes(before: ProjectState, after: ProjectState) -> list[Any]:
    """Return the operations that `makemigrations` writes for the parents, if each question is answered by yes."""
    questioner = NonInteractiveMigrationQuestioner(specified_apps=[PARENT_APP], dry_run=True)
    questioner.ask_rename = lambda *_args: True  # type: ignore[method-assign]
    detected = MigrationAutodetector(before, after, questioner)._detect_changes()
    return [operation for migration in detected.get(PARENT_APP, []) for operation in migration.operations]


@pytest.mark.parametrize(("name", "options"), [("number", {}), ("id", {"db_column": "number"})])
def test_makemigrations__another_column_of_the_key(name: str, options: dict[str, str]) -> None:
    """Another column of the key removes the declaration before the change, and adds it after it."""
    after = parents(models.BigIntegerField(primary_key=True, **options), name=name)
    kinds = [type(operation).__name__ for operation in changes(state_of(parents(KEY)), state_of(after))]

    assert kinds[0] == "RemoveConstraint"
    assert kinds[-1] == "AddConstraint"
    assert set(kinds[1:-1]) <= {"RenameField", "AlterField"}


def test_makemigrations__another_way_to_record() -> None:
    """A change from triggers to signals makes the declaration again."""
    kinds = [
        type(each).__name__ for each in changes(state_of(parents(KEY)), state_of(parents(KEY, recorded_by="signals")))
    ]

    assert kinds == ["RemoveConstraint", "AddConstraint"]


def test_name__of_any_table() -> None:
    """The name of the triggers is ASCII and short, whatever the child's table is called."""
    (declared,) = parents(child_table='s"."ö%s' + "x" * 80)._meta.constraints

    assert declared.name.isascii()
    assert declared.name.replace("_", "").isalnum()
    assert len(declared.name) <= 50


def test_deconstruct__leaves_defaults_out() -> None:
    """A migration names the key's column and the way to record only where they are others than usual."""
    usual = RecordDeletions(reference=REFERENCE, name="n")
    other = RecordDeletions(reference=REFERENCE, name="n", key="code", by="signals")

    assert usual.deconstruct()[2] == {"name": "n", "reference": REFERENCE}
    assert other.deconstruct()[2] == {"name": "n", "reference": REFERENCE, "key": "code", "by": "signals"}
    assert RecordDeletions(**other.deconstruct()[2]) == other
    assert usual != other
