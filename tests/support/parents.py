"""Parents whose deletions are recorded: models outside of the installed apps, their tables, and what was recorded.

`parents()` makes the models, as a project writes them: the field of the child declares that the parent's deletions are
recorded. `scratch_tables()` makes the table of the parents with its triggers.
"""

from collections.abc import Sequence
from typing import Any

from django.apps.registry import Apps
from django.db import connections, models
from django.db.migrations.operations import AddConstraint, CreateModel
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from tests.support.scratch_models import scratch_model

from switchyard.crossdb import CrossDatabaseForeignKey
from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.tombstones import Tombstone

PARENT_APP, CHILD_APP = "shop", "orders"
REFERENCE = f"{CHILD_APP}.Order.customer"

KEYS: dict[str, tuple[Any, list[Any]]] = {
    "integer": (models.BigAutoField(primary_key=True), [1, 2, 3]),
    "UUID": (
        models.UUIDField(primary_key=True),
        [f"{each}0000000-0000-4000-8000-00000000000{each}" for each in "123"],
    ),
    "text": (models.CharField(max_length=100, primary_key=True), ["a", "b'\"%s", "Zoë"]),
}


def parents(
    key: Any | None = None,
    *,
    name: str = "id",
    table: str = "buyers",
    child_table: str = "orders",
    recorded_by: Any = "triggers",
    **fields: Any,
) -> Any:
    """Return a new model `shop.Customer`, to which `orders.Order.customer` refers."""
    registry = Apps()
    key = (key or KEYS["integer"][0]).clone()
    customer = scratch_model(
        "Customer",
        PARENT_APP,
        registry,
        meta={"db_table": table},
        **{name: key},
        word=models.CharField(max_length=20, default="", db_index=True),
        **fields,
    )
    to_customer = CrossDatabaseForeignKey(customer, on_delete=models.CASCADE, recorded_by=recorded_by)
    scratch_model("Order", CHILD_APP, registry, meta={"db_table": child_table}, customer=to_customer)
    return customer


def reference_to(customer: Any) -> Reference:
    """Return the reference to this model."""
    order = customer._meta.apps.all_models[CHILD_APP]["order"]
    return Reference(order._meta.get_field("customer"))


def stored(alias: str, model: Any, keys: Sequence[Any]) -> Any:
    """Store a parent with each key, and return the rows of the alias."""
    model.objects.using(alias).bulk_create([model(pk=key, word=f"word {at}") for at, key in enumerate(keys)])
    return model.objects.using(alias)


def recorded(alias: str, reference: str = REFERENCE) -> list[str]:
    """Return the keys of the recorded deletions, in the order of the records."""
    tombstones = Tombstone.objects.using(alias).filter(reference=reference)
    return list(tombstones.order_by("pk").values_list("parent_key", flat=True))


def execute(alias: str, sql: str, parameters: Sequence[Any] | None = None) -> None:
    """Run a statement on the connection of the alias, past the ORM."""
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, parameters)


def forget(alias: str) -> None:
    """Remove the table of tombstones."""
    execute(alias, "DROP TABLE IF EXISTS switchyard_tombstone")


def state_of(*classes: Any) -> ProjectState:
    """Return the state of migrations that have made these models."""
    state = ProjectState()
    for each in classes:
        state.add_model(ModelState.from_model(each))
    return state


def migrated(alias: str, state: ProjectState, *operations: Operation, collect_sql: bool = False) -> Any:
    """Run the operations as one migration of the parents' app, and return the new state; or the SQL of `sqlmigrate`."""
    with connections[alias].schema_editor(collect_sql=collect_sql) as editor:
        for operation in operations:
            before, state = state, state.clone()
            operation.state_forwards(PARENT_APP, state)
            operation.database_forwards(PARENT_APP, editor, before, state)
    return editor.collected_sql if collect_sql else state


def rolled_back(alias: str, state: ProjectState, operation: Operation) -> None:
    """Run the operation backwards, to this state."""
    after = state.clone()
    operation.state_forwards(PARENT_APP, after)
    with connections[alias].schema_editor() as editor:
        operation.database_backwards(PARENT_APP, editor, after, state)


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
