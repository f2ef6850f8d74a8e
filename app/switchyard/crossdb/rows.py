"""Fetch rows of one database by keys of another database, in bounded memory.

Django cannot join across databases; its guide fetches all keys as one list. Here keys are read in order and in chunks,
and the rows of each chunk are fetched from their own database, until enough rows are found. The two querysets choose
their aliases, by the routers or by `using()`.
"""

from typing import Any

from django.core.exceptions import FieldError
from django.db.models import Field, IntegerField, Model, QuerySet

from switchyard.crossdb.counting import counted

CHUNK_SIZE = 1000  # keys; every vendor accepts so many parameters in one statement


def rows_by_key[M: Model](
    queryset: QuerySet[M], keys: QuerySet[Any, Any], *, field: str = "id", after: int, limit: int
) -> list[M]:
    """Return the first rows of `queryset` whose key is among `keys` and greater than `after`, in the order of the key.

    `field` is the field of `queryset` that holds the key. `keys` is a queryset of one column, as
    `values("user_id")` makes it; NULL and keys without a row are skipped. `limit` is the largest number of rows.

    Queries: at most one on the alias of `keys` and one on the alias of `queryset` for each chunk of 1,000 keys. One
    chunk is enough if every key has a row and `limit` is at most 1,000. The two databases share no snapshot.

    Raises FieldError unless both columns hold integers, which every server orders in the same way, and `field` is
    unique.

    The first ten users with an event, and the next ten:

        events = Event.objects.values("user_id")
        page = rows_by_key(User.objects.all(), events, after=0, limit=10)
        next_page = rows_by_key(User.objects.all(), events, after=page[-1].pk, limit=10)
    """
    key_column = _column_of(keys)
    if not _integer_field(queryset.model, field).unique:
        raise FieldError(
            f"{queryset.model._meta.label}.{field} is not unique, so rows_by_key() cannot page by it."
            " Use a unique field."
        )
    _integer_field(keys.model, key_column)
    ordered = keys.order_by(key_column).values_list(key_column, flat=True).distinct()

    rows: list[M] = []
    size = min(limit, CHUNK_SIZE)
    with counted(keys, queryset, strategy="chunks") as execution:
        while len(rows) < limit:
            chunk = list(ordered.filter(**{f"{key_column}__gt": after})[:size])
            execution.keys += len(chunk)
            if chunk:
                found = queryset.filter(**{f"{field}__in": chunk}).order_by(field)
                rows += found[: limit - len(rows)]
            if len(chunk) < size:
                break
            after, size = chunk[-1], CHUNK_SIZE
    return rows


def _column_of(keys: QuerySet[Any, Any]) -> str:
    columns: tuple[str, ...] = keys.query.values_select
    if len(columns) != 1:
        raise FieldError(
            f"The queryset of keys of {keys.model._meta.label} has {len(columns)} columns."
            " Name one column: values('user_id')."
        )
    return columns[0]


def _integer_field(model: type[Model], name: str) -> "Field[Any, Any]":
    field = model._meta.get_field(name)
    target = getattr(field, "target_field", field)
    if not isinstance(field, Field) or not isinstance(target, IntegerField):
        raise FieldError(
            f"{model._meta.label}.{name} is not a column of integers, so its order may differ between servers."
            " Use a column of integers."
        )
    return field
