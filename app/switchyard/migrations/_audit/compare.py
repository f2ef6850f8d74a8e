"""Compare the tables of an alias with the models whose rows it has."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model

from switchyard.migrations._audit.column_types import existing_types, expected_types
from switchyard.migrations._records import in_one_case
from switchyard.migrations._status import pending
from switchyard.routing import only
from switchyard.routing.errors import first_line
from switchyard.routing.topology.ownership import is_unmanaged, owner_of, replicated_by
from switchyard.routing.topology.tables import cache_tables

type AnyField = Field[Any, Any]
type Difference = tuple[str, bool]  # a text, and whether the difference breaks queries or hides a mistake

_OWN_TABLES = {"django_migrations", "switchyard_tombstone"}


@dataclass(frozen=True)
class Audit:
    """What was found on an alias. `problems` break queries or hide a mistake, `notes` do not."""

    alias: str
    tables: int = 0  # compared with a model
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str = ""


def audit(alias: str) -> Audit:
    """Read the tables of the alias from its own server. An alias that cannot be read has an `error` of one line."""
    try:
        with only(alias):
            return _compare(alias)
    except DatabaseError as error:
        return Audit(alias, error=first_line(error))


def _compare(alias: str) -> Audit:
    connection = connections[alias]
    owner = replicated_by(alias) or alias
    with connection.cursor() as cursor:
        listed = connection.introspection.get_table_list(cursor)
    infos = {in_one_case(connection, info.name): info for info in listed}
    models = {table: model for table, model in _models(connection, owner).items() if '"' not in table}
    problems: list[str] = []
    notes: list[str] = []
    for table, model in models.items():
        if table in infos:
            for text, breaks in _columns(connection, infos[table].name, model):
                (problems if breaks else notes).append(f"{infos[table].name}{text}")
        elif model._meta.managed:
            problems.append(f"{table}: missing, the table of {model._meta.label}")
        else:
            notes.append(f"{table}: missing, and {model._meta.label} has managed = False")
    known = {*models, *_OWN_TABLES, *(in_one_case(connection, name) for name in cache_tables())}
    for table in sorted(info.name for name, info in infos.items() if info.type == "t" and name not in known):
        if foreign := _foreign(table, owner):
            problems.append(f"{table}: a table of {foreign}")
        elif not is_unmanaged(owner):
            notes.append(f"{table}: no model has this table")
    if not is_unmanaged(owner) and (names := pending(alias)):
        notes.append(f"{len(names)} pending, first {names[0]}: the models are ahead of the tables until `migrate_all`")
    return Audit(alias, len(models.keys() & infos), problems, notes)


def _models(connection: BaseDatabaseWrapper, owner: str) -> dict[str, type[Model]]:
    """Return the models whose rows the owner has, by table, with those that join two models."""
    return {
        in_one_case(connection, model._meta.db_table): model
        for model in apps.get_models(include_auto_created=True)
        if not model._meta.proxy
        and not model._meta.swapped
        and _has_vendor(connection, model)
        and owner_of(model) == owner
    }


def _has_vendor(connection: BaseDatabaseWrapper, model: type[Model]) -> bool:
    return model._meta.required_db_vendor in {None, connection.vendor}


def _foreign(table: str, owner: str) -> str:
    """Return the model of another owner that has a table of this name; empty if there is none."""
    for model in apps.get_models(include_auto_created=True):
        if model._meta.db_table == table and (other := _owner_or_none(model)) not in {owner, None}:
            return f"{model._meta.label}, whose rows are on '{other}'"
    return ""


def _owner_or_none(model: type[Model]) -> str | None:
    try:
        return owner_of(model)
    except ImproperlyConfigured:
        return None


def _columns(connection: BaseDatabaseWrapper, table: str, model: type[Model]) -> Iterator[Difference]:
    """Yield each difference of the table's columns."""
    with connection.cursor() as cursor:
        description = connection.introspection.get_table_description(cursor, table)
    columns = {in_one_case(connection, column.name): column for column in description}
    fields = {
        in_one_case(connection, each.column): each
        for each in model._meta.local_concrete_fields
        if each.column is not None
    }
    for name, field_ in fields.items():
        if name not in columns:
            yield f".{name}: missing, the column of {field_}", True
        elif not (field_.primary_key or getattr(field_, "generated", False)):
            yield from _null(f".{name}", field_, takes_null=columns[name].null_ok)
    for name, column in columns.items():
        if name not in fields:
            needed = not column.null_ok and column.default is None and not _counts(column)
            fails = ", and it takes no NULL and has no default: inserts fail" if needed else ""
            yield f".{name}: no field has this column{fails}", needed
    yield from _types(connection, table, {name: each for name, each in fields.items() if name in columns}, description)


def _counts(column: Any) -> bool:
    """Return True if the server numbers the column."""
    return bool(getattr(column, "is_autofield", False)) or "auto_increment" in str(getattr(column, "extra", ""))


def _null(name: str, field_: AnyField, *, takes_null: bool) -> Iterator[Difference]:
    if field_.null and not takes_null:
        yield f"{name}: takes no NULL, and {field_} has null=True", True
    elif takes_null and not field_.null:
        yield f"{name}: takes NULL, and {field_} does not", True


def _types(
    connection: BaseDatabaseWrapper, table: str, fields: dict[str, AnyField], description: list[Any]
) -> Iterator[Difference]:
    # Migrations make the key of a table that joins two models by DEFAULT_AUTO_FIELD, and the model has its app's type.
    declared = {
        name: text
        for name, each in fields.items()
        if not (each.primary_key and each.model._meta.auto_created) and (text := each.db_type(connection))
    }
    existing = {
        in_one_case(connection, name): kind for name, kind in existing_types(connection, table, description).items()
    }
    try:
        expected = expected_types(connection, declared)
    except DatabaseError as error:
        yield f": types not compared ({str(error).strip().partition(chr(10))[0]})", False
        return
    for name, kind in expected.items():
        if name in existing and existing[name].key != kind.key:
            yield f".{name}: has type {existing[name].shown}, and {fields[name]} makes {kind.shown}", True
