"""Refuse a full `save()` of an instance from a replica if the owner's row changed since: it would undo that change.

The values that a replica returned are recorded on the instance and become conditions of its UPDATE. Of two savers one
wins, and a save of an instance that is not stale costs no extra query. If no row matches, the row is read and locked on
the owner and compared in Python, because SQL may find equal values different (JSON, floats).

Four methods of `Model` are replaced, two of them private, because no documented hook reaches the UPDATE. A `pre_save`
receiver or a model's own `save()` could only read the row before it: one query for each save, and two savers that read
at the same time would both go on. `from_db()` and `refresh_from_db()` are documented for overriding, in each model.
https://github.com/django/django/blob/6.1.3/django/db/models/base.py#L1069-L1247

Not covered: instances from a `from_db()` that does not call Django's; instances with deferred fields, one of which was
loaded from the owner, because Django then saves with `update_fields`. A value of a mutable class of the project's own
that changes in place counts as changed on the owner. On MySQL text is compared by bytes. Elsewhere a collation that
finds `a` and `A` equal hides that change.
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

# Attribute of an instance's `_state`: names and values as the replica returned them. A save makes the mapping.
_READ = "_switchyard_read"
_MUTABLE = frozenset({dict, list, set, bytearray})

_from_db: Any = Model.from_db.__func__  # type: ignore[attr-defined]
_refresh_from_db = Model.refresh_from_db
_save_table: Any = Model._save_table  # type: ignore[attr-defined]  # noqa: SLF001 - see the module
_do_update: Any = Model._do_update  # noqa: SLF001


def install() -> None:
    """Compare the instances of all models when they are saved."""
    Model.from_db = classmethod(_recording_from_db)  # type: ignore[assignment, method-assign]
    Model.refresh_from_db = _recording_refresh_from_db  # type: ignore[method-assign]
    Model._save_table = _discarding_save_table  # type: ignore[attr-defined]  # noqa: SLF001
    Model._do_update = _conditional_do_update  # type: ignore[assignment, method-assign]  # noqa: SLF001


def _recording_from_db(
    cls: type[Model], /, db: str, field_names: Sequence[str], values: Sequence[Any], **modes: Any
) -> Any:
    instance = _from_db(cls, db, field_names, values, **modes)
    if replicated_by(db) is not None and policy_of("stale_save", cls) != "allow":
        _record(instance, field_names, values)
    return instance


def _recording_refresh_from_db(
    self: Model, using: str | None = None, fields: Iterable[str] | None = None, from_queryset: Any = None
) -> None:
    fields = None if fields is None else set(fields)
    _refresh_from_db(self, using, fields, from_queryset)
    source = self._state.db or ""
    if replicated_by(source) is None or policy_of("stale_save", self.__class__) == "allow":
        discard(self, fields)
        return
    names = _attribute_names(self, fields) & self.__dict__.keys()
    # A FieldFile changes in place and belongs to its instance, so its name is recorded.
    read = {name: value.name if isinstance(value := self.__dict__[name], FieldFile) else value for name in names}
    read = {**_recorded(self), **read}
    _record(self, tuple(read), tuple(read.values()))


def _discarding_save_table(  # noqa: PLR0917 - Django's signature
    self: Model,
    raw: bool = False,
    cls: Any = None,
    force_insert: Any = False,
    force_update: bool = False,
    using: str | None = None,
    update_fields: Collection[str] | None = None,
) -> Any:
    updated = _save_table(self, raw, cls, force_insert, force_update, using, update_fields)
    if cls is self._meta.concrete_model:  # the last table that Django saves
        discard(self, update_fields)
    return updated


def _conditional_do_update(  # noqa: PLR0917 - Django's signature
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

    compared = {} if update_fields else _fields_to_compare(self, base_qs.model, values)
    if not compared or using != owner_of(self.__class__):
        return update(base_qs)
    if updated := update(base_qs.filter(*(_is_unchanged(value, field, using) for field, value in compared.items()))):
        return updated
    # Locked: if the values are equal in Python, no other transaction changes them before the UPDATE.
    with transaction.atomic(using=using, savepoint=False):
        rows = base_qs.select_for_update().filter(pk=pk_val).values_list(*(field.attname for field in compared))
        if change := _describe_change(compared, list(rows)):
            label = self.__class__._meta.label
            enforce(StaleSaveError(alias=using, model=label, pk=str(pk_val), change=change), model=self.__class__)
        return update(base_qs)


def _fields_to_compare(
    instance: Model, table: type[Model], values: Iterable[tuple[_Field, Any, Any]]
) -> dict[_Field, Any]:
    """Return the fields that the UPDATE of this table writes, with the values that the replica returned."""
    read = _recorded(instance)
    # With another primary key the instance is another row.
    if not read or any(read.get(key.attname) != getattr(instance, key.attname) for key in table._meta.pk_fields):
        return {}
    # The owner computes an expression from its newest row, so an expression undoes nothing.
    return {
        field: read[field.attname]
        for field, _, value in values
        if field.attname in read and not hasattr(value, "resolve_expression")
    }


def _is_unchanged(value: Any, field: _Field, using: str) -> Q | Exact:
    if value is None:
        return Q((f"{field.attname}__isnull", True))
    if isinstance(value, str) and connections[using].vendor == "mysql" and not isinstance(field, JSONField):
        as_bytes = Func(F(field.attname), template="CAST(%(expressions)s AS BINARY)", output_field=field)
        return Exact(as_bytes, value)
    return Q((field.attname, value))


def _describe_change(compared: Mapping[_Field, Any], rows: list[tuple[Any, ...]]) -> str:
    """Return the difference between the recorded values and the owner's row; empty if there is none."""
    if not rows:
        return "the row was deleted"
    changed = [field.name for (field, value), now in zip(compared.items(), rows[0], strict=True) if now != value]
    return f"changed: {', '.join(changed)}" if changed else ""


def _recorded(instance: Model) -> dict[str, Any]:
    """Return the values that a replica returned, by the attribute names of their fields."""
    return dict(zip(*vars(instance._state).get(_READ, ((), ())), strict=True))


def _record(instance: Model, names: Sequence[str], values: Sequence[Any]) -> None:
    if not _MUTABLE.isdisjoint(map(type, values)):
        values = [deepcopy(value) if type(value) in _MUTABLE else value for value in values]
    vars(instance._state)[_READ] = names, values


def discard(instance: Model, fields: Collection[str] | None) -> None:
    """Discard the recorded values of these fields, or of all: owner and instance are equal in them now."""
    if (recorded := vars(instance._state).pop(_READ, None)) is None or fields is None:
        return
    discarded = _attribute_names(instance, fields)
    rest = {name: value for name, value in zip(*recorded, strict=True) if name not in discarded}
    vars(instance._state)[_READ] = tuple(rest), tuple(rest.values())


def _attribute_names(instance: Model, fields: Collection[str] | None) -> set[str]:
    concrete = instance._meta.concrete_fields
    return {field.attname for field in concrete if fields is None or field.name in fields or field.attname in fields}
