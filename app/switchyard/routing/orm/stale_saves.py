"""Refuse a full `save()` of what a replica gave when the owner's row has changed since: it would undo that change.

What was read from a replica is kept beside the instance, and becomes a condition of its UPDATE: of two savers one
wins, and nothing is asked as long as nothing is stale. Only where no row matched, the row is read and locked on the
owner, and its values compared in Python: SQL may take equal values for different ones (JSON, floats).

Two private methods of Model are replaced, because no documented hook reaches the UPDATE: a `pre_save` receiver or a
model's own `save()` could only ask before it, at a query for each save, and two savers that ask at the same time would
both go on. `from_db()` and `refresh_from_db()` are documented to be overridden, but by each model for itself.
https://github.com/django/django/blob/6.1.3/django/db/models/base.py#L1069-L1247

Not seen: instances that a `from_db()` makes without Django's; and those with deferred fields of which one was loaded
from the owner, as Django then saves with `update_fields` by itself. A mutable value of a class of its own that changes
in place counts as changed on the owner. On MySQL text is compared by bytes; a collation elsewhere that takes `a` for
`A` hides that change.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from django.db import connections, transaction
from django.db.models import Field, Func, JSONField, Model, Q, QuerySet
from django.db.models.expressions import F
from django.db.models.fields.files import FieldFile
from django.db.models.lookups import Exact

from switchyard.routing.errors import StaleSaveError
from switchyard.routing.policies import enforce, policy_of
from switchyard.routing.topology.ownership import owner_of, replicated_by

type _Field = Field[Any, Any]

# Where an instance's state has them, as names and values: nothing is made of them before they are needed.
_READ = "_switchyard_read"
_CHANGE_IN_PLACE = frozenset({dict, list, set, bytearray})

_from_db: Any = Model.from_db.__func__  # type: ignore[attr-defined]
_refresh_from_db = Model.refresh_from_db
_save_table: Any = Model._save_table  # type: ignore[attr-defined]  # noqa: SLF001 - as the module says
_do_update: Any = Model._do_update  # noqa: SLF001


def install() -> None:
    """Guard the instances of all models."""
    Model.from_db = classmethod(_keeping_from_db)  # type: ignore[assignment, method-assign]
    Model.refresh_from_db = _keeping_refresh_from_db  # type: ignore[method-assign]
    Model._save_table = _forgetting_save_table  # type: ignore[attr-defined]  # noqa: SLF001
    Model._do_update = _guarded_do_update  # type: ignore[assignment, method-assign]  # noqa: SLF001


def _keeping_from_db(
    cls: type[Model], /, db: str, field_names: Sequence[str], values: Sequence[Any], **modes: Any
) -> Any:
    instance = _from_db(cls, db, field_names, values, **modes)
    if replicated_by(db) is not None and policy_of("stale_save", cls) != "allow":
        _keep(instance, field_names, values)
    return instance


def _keeping_refresh_from_db(
    self: Model, using: str | None = None, fields: Iterable[str] | None = None, from_queryset: Any = None
) -> None:
    fields = None if fields is None else set(fields)
    _refresh_from_db(self, using, fields, from_queryset)
    source = self._state.db or ""
    if replicated_by(source) is None or policy_of("stale_save", type(self)) == "allow":
        _forget(self, fields)
        return
    names = _attribute_names(self, fields) & self.__dict__.keys()
    # A FieldFile changes in place and belongs to its instance; its name is the value.
    read = {name: value.name if isinstance(value := self.__dict__[name], FieldFile) else value for name in names}
    read = {**_read(self), **read}
    _keep(self, tuple(read), tuple(read.values()))


def _forgetting_save_table(  # noqa: PLR0917 - Django's signature
    self: Model,
    raw: bool = False,
    cls: Any = None,
    force_insert: Any = False,
    force_update: bool = False,
    using: str | None = None,
    update_fields: Collection[str] | None = None,
) -> Any:
    updated = _save_table(self, raw, cls, force_insert, force_update, using, update_fields)
    if cls is self._meta.concrete_model:  # whose table is the last one
        _forget(self, update_fields)
    return updated


def _guarded_do_update(  # noqa: PLR0917 - as above
    self: Model,
    base_qs: QuerySet[Model],
    using: str,
    pk_val: Any,
    values: Sequence[tuple[_Field, Any, Any]],
    update_fields: Collection[str] | None,
    *rest: Any,
) -> Any:
    def update(rows: QuerySet[Model]) -> Any:
        return _do_update(self, rows, using, pk_val, values, update_fields, *rest)

    compared = {} if update_fields else _compared(self, base_qs.model, values)
    if not compared or using != owner_of(type(self)):
        return update(base_qs)
    if updated := update(base_qs.filter(*(_is_still(value, field, using) for field, value in compared.items()))):
        return updated
    # Locked: where the values are the same to Python, nobody changes them before they are written.
    with transaction.atomic(using=using, savepoint=False):
        rows = base_qs.select_for_update().filter(pk=pk_val).values_list(*(field.attname for field in compared))
        if change := _change(compared, list(rows)):
            label = type(self)._meta.label
            enforce(StaleSaveError(alias=using, model=label, pk=str(pk_val), change=change), model=type(self))
        return update(base_qs)


def _compared(instance: Model, table: type[Model], values: Iterable[tuple[_Field, Any, Any]]) -> dict[_Field, Any]:
    """Return the fields of one table that are to be written, with what was read of them."""
    read = _read(instance)
    # A copy of the row under another key is another row.
    if not read or any(read.get(key.attname) != getattr(instance, key.attname) for key in table._meta.pk_fields):
        return {}
    # An expression is computed by the owner from its newest row.
    return {
        field: read[field.attname]
        for field, _, value in values
        if field.attname in read and not hasattr(value, "resolve_expression")
    }


def _is_still(value: Any, field: _Field, using: str) -> Q | Exact:
    if value is None:
        return Q((f"{field.attname}__isnull", True))
    if isinstance(value, str) and connections[using].vendor == "mysql" and not isinstance(field, JSONField):
        as_bytes = Func(F(field.attname), template="CAST(%(expressions)s AS BINARY)", output_field=field)
        return Exact(as_bytes, value)
    return Q((field.attname, value))


def _change(compared: Mapping[_Field, Any], rows: list[tuple[Any, ...]]) -> str:
    if not rows:
        return "the row was deleted"
    changed = [field.name for (field, value), now in zip(compared.items(), rows[0], strict=True) if now != value]
    return f"changed: {', '.join(changed)}" if changed else ""


def _read(instance: Model) -> dict[str, Any]:
    return dict(zip(*vars(instance._state).get(_READ, ((), ())), strict=True))


def _keep(instance: Model, names: Sequence[str], values: Sequence[Any]) -> None:
    if not _CHANGE_IN_PLACE.isdisjoint(map(type, values)):
        values = [deepcopy(value) if type(value) in _CHANGE_IN_PLACE else value for value in values]
    vars(instance._state)[_READ] = names, values


def _forget(instance: Model, fields: Collection[str] | None) -> None:
    """Forget these fields, or all: the owner has them from this instance, or the instance from the owner."""
    if (kept := vars(instance._state).pop(_READ, None)) is None or fields is None:
        return
    gone = _attribute_names(instance, fields)
    left = {name: value for name, value in zip(*kept, strict=True) if name not in gone}
    vars(instance._state)[_READ] = tuple(left), tuple(left.values())


def _attribute_names(instance: Model, fields: Collection[str] | None) -> set[str]:
    concrete = instance._meta.concrete_fields
    return {field.attname for field in concrete if fields is None or field.name in fields or field.attname in fields}
