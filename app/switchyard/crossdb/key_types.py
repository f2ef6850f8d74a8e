"""Types of keys: which two columns can be compared, and what an order of keys is good for. No query."""

from enum import Enum, auto
from typing import Any

from django.core.exceptions import FieldError
from django.db.models import (
    CharField,
    DateField,
    DateTimeField,
    DecimalField,
    Field,
    GenericIPAddressField,
    IntegerField,
    QuerySet,
    TextField,
    UUIDField,
)
from django.db.models.functions import Collate

from switchyard.crossdb.key_list import key_field


class KeyType(Enum):
    """The types that both sides of a comparison can have."""

    INTEGER = auto()
    UUID = auto()
    DATE = auto()
    MOMENT = auto()
    DECIMAL = auto()
    TEXT = auto()


# Values that are different on one server are different on each server.
EXACT = frozenset({KeyType.INTEGER, KeyType.UUID, KeyType.DATE})
# Each server orders them in the same way: the UUIDs of MariaDB have an order of their own.
SAME_ORDER = EXACT - {KeyType.UUID}

# The first class that fits: a DateTimeField is a DateField.
_TYPES: "tuple[tuple[type[Field[Any, Any]], KeyType], ...]" = (
    (IntegerField, KeyType.INTEGER),
    (UUIDField, KeyType.UUID),
    (DateTimeField, KeyType.MOMENT),
    (DateField, KeyType.DATE),
    (DecimalField, KeyType.DECIMAL),
    (CharField, KeyType.TEXT),
    (TextField, KeyType.TEXT),
    (GenericIPAddressField, KeyType.TEXT),
)


def key_type(field: Any) -> KeyType | None:
    """Return the type of the field, or of the field that a relation names; None if it can be no key."""
    target = key_field(field)
    return next((found for cls, found in _TYPES if isinstance(target, cls)), None)


def source_field(source: QuerySet[Any, Any]) -> Any:
    """Return the field of the only column of the queryset."""
    column = _column_of(source)
    return getattr(column, "output_field", column)


def _column_of(source: QuerySet[Any, Any]) -> Any:
    """Return the expression of the only column, or the primary key."""
    query = source.query
    if query.annotation_select:
        return next(iter(query.annotation_select.values()))
    return query.select[0] if query.select else source.model._meta.pk


def check_comparable(column: Any, source: QuerySet[Any, Any]) -> None:
    """Raise FieldError unless the column and the keys of the source have one type, and agree about equal texts."""
    field, other = column.output_field, source_field(source)
    compared = f"{_name(column)} is compared with {_name(_column_of(source))}"
    here, there = key_type(field), key_type(other)
    if here is None or here is not there:
        raise FieldError(
            f"{compared}: the types {_type_name(field)} and {_type_name(other)} have no common key type."
            f" Compare two columns of one of the types {', '.join(each.name.lower() for each in KeyType)}."
        )
    if isinstance(column, Collate):
        _check_has_collation(field, column)
    elif _has_collation(field) and _has_collation(other):
        _check_same_collation(field, other, compared)


def _check_has_collation(field: Any, collated: Any) -> None:
    if not _has_collation(field):
        raise FieldError(
            f"{_name(field)} has the type {_type_name(field)}, whose values no collation compares."
            f" Leave out collation='{collated.collation}'."
        )


def _check_same_collation(field: Any, other: Any, compared: str) -> None:
    here, there = (getattr(key_field(each), "db_collation", None) for each in (field, other))
    if here != there:
        raise FieldError(
            f"{compared}, and their db_collation is {here!r} and {there!r}:"
            " a text may have an equal text by one of them, and none by the other."
            " Name the collation by which the outer query's database compares them: collation='...'."
        )


def _has_collation(field: Any) -> bool:
    return hasattr(key_field(field), "db_collation")


def _name(column: Any) -> str:
    """Return the name of a column or of a field. A reference is its own column, and has the type of its parent's."""
    field = getattr(column, "target", None) or getattr(column, "output_field", column)
    model = getattr(field, "model", None)
    return f"{model._meta.label}.{field.name}" if model else "An expression"


def _type_name(field: Any) -> str:
    return type(key_field(field)).__name__
