"""Parents whose deletions are recorded: models outside of the installed apps, their tables, and what was recorded.

`parents()` makes the models, as a project writes them: the field of the child declares that the parent's deletions are
recorded. `scratch_tables()` makes the table of the parents with its triggers.
"""

from collections.abc import Sequence
from typing import Any

from django.apps.registry import Apps
from django.db import connections, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

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

    def model(label: str, class_name: str, db_table: str, **body: Any) -> Any:
        meta = type("Meta", (), {"app_label": label, "apps": registry, "db_table": db_table})
        return type(class_name, (models.Model,), {"__module__": __name__, "Meta": meta, **body})

    key = (key or KEYS["integer"][0]).clone()
    customer = model(
        PARENT_APP,
        "Customer",
        table,
        **{name: key},
        word=models.CharField(max_length=20, default="", db_index=True),
        **fields,
    )
    to_customer = CrossDatabaseForeignKey(customer, on_delete=models.CASCADE, recorded_by=recorded_by)
    model(CHILD_APP, "Order", child_table, customer=to_customer)
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
