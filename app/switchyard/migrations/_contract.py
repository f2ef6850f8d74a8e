"""Which migrations break the code that runs before them: they must say `contract = True`, and ship in a later release.

During an upgrade and after a rollback the older code runs on the newer tables. The judgement reads the operations and
the state of the models, and no database; it is the same for every vendor.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.migrations import operations as ops
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

_WIDENED = {
    ("SmallIntegerField", "IntegerField"),
    ("SmallIntegerField", "BigIntegerField"),
    ("IntegerField", "BigIntegerField"),
    ("PositiveSmallIntegerField", "PositiveIntegerField"),
    ("PositiveSmallIntegerField", "PositiveBigIntegerField"),
    ("PositiveIntegerField", "PositiveBigIntegerField"),
    ("SmallAutoField", "AutoField"),
    ("SmallAutoField", "BigAutoField"),
    ("AutoField", "BigAutoField"),
    ("CharField", "TextField"),
    ("SlugField", "CharField"),
}


@dataclass(frozen=True)
class Finding:
    """One operation that the running code may not survive."""

    migration: str  # <app>.<migration>
    operation: str
    reason: str


def findings(loader: MigrationLoader, key: tuple[str, str]) -> list[Finding]:
    """Return the operations of an unmarked migration that break older code, and those that nothing can judge."""
    migration: Migration = loader.graph.nodes[key]
    contract = getattr(migration, "contract", None)
    if contract:
        return []
    state = loader.project_state(key, at_end=False)
    known = set(state.models)  # older code uses no model that this migration makes
    found = []
    for operation in _on_the_database(migration.operations):
        if reason := _reason(operation, migration.app_label, state, known, declared=contract is False):
            found.append(Finding(".".join(key), operation.describe(), reason))
        operation.state_forwards(migration.app_label, state)
    return found


def _on_the_database(operations: Sequence[Operation]) -> Iterator[Operation]:
    for operation in operations:
        if isinstance(operation, ops.SeparateDatabaseAndState):
            yield from _on_the_database(operation.database_operations)
        else:
            yield operation


def _reason(operation: Any, app_label: str, state: ProjectState, known: set[tuple[str, str]], *, declared: bool) -> str:
    """Return why the operation breaks older code; empty if it does not, or if the migration has declared so of SQL."""
    judge = next((judge for kind, judge in _JUDGES.items() if isinstance(operation, kind)), None)
    if judge is None:
        return ""
    if judge is _unreadable:
        return "" if declared else judge(operation, app_label, state)
    name = getattr(operation, "model_name", None) or getattr(operation, "old_name", None) or operation.name
    return judge(operation, app_label, state) if (app_label, name.lower()) in known else ""


def _unreadable(_operation: Any, _app_label: str, _state: ProjectState) -> str:
    return "nothing can tell what this SQL does to older code"


def _delete_model(operation: Any, app_label: str, state: ProjectState) -> str:
    options = state.models[app_label, operation.name.lower()].options
    made = options.get("managed", True) and not options.get("proxy", False)
    return "older code reads and writes the table" if made else ""


def _remove_field(_operation: Any, _app_label: str, _state: ProjectState) -> str:
    return "older code names the column in each query"


def _rename(_operation: Any, _app_label: str, _state: ProjectState) -> str:
    return "older code uses the old name"


def _rename_model(operation: Any, app_label: str, state: ProjectState) -> str:
    fixed = state.models[app_label, operation.old_name.lower()].options.get("db_table")
    return "" if fixed else "older code uses the old name of the table"


def _rename_field(operation: Any, app_label: str, state: ProjectState) -> str:
    field = state.models[app_label, operation.model_name.lower()].fields[operation.old_name]
    return "" if field.db_column else "older code uses the old name of the column"


def _add_field(operation: Any, _app_label: str, _state: ProjectState) -> str:
    field = operation.field
    filled = field.null or field.many_to_many or field.has_db_default() or getattr(field, "generated", False)
    return "" if filled else "older code inserts rows without it: give it null=True or a db_default"


def _alter_field(operation: Any, app_label: str, state: ProjectState) -> str:
    before = state.models[app_label, operation.model_name.lower()].fields[operation.name]
    after = operation.field
    kinds = (before.get_internal_type(), after.get_internal_type())
    if kinds[0] != kinds[1] and kinds not in _WIDENED:
        return f"changes the type from {kinds[0]} to {kinds[1]}"
    for name in ("max_length", "max_digits", "decimal_places"):
        old, new = getattr(before, name, None), getattr(after, name, None)
        if new is not None and (old is None or new < old):
            return f"makes {name} smaller, from {'unlimited' if old is None else old} to {new}"
    if before.null and not after.null and not after.has_db_default():
        return "older code may write NULL"
    return "older code may write a value twice" if after.unique and not before.unique else ""


_JUDGES: dict[type[Operation], Callable[[Any, str, ProjectState], str]] = {
    ops.RunSQL: _unreadable,
    ops.DeleteModel: _delete_model,
    ops.RemoveField: _remove_field,
    ops.RenameModel: _rename_model,
    ops.RenameField: _rename_field,
    ops.AlterModelTable: _rename,
    ops.AddField: _add_field,
    ops.AlterField: _alter_field,
}
