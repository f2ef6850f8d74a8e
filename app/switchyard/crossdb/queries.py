"""Fetch rows of one database by keys of another, in bounded memory.

Django cannot join across databases; its guide fetches all keys as one list. Here the keys are walked in order and in
chunks, each chunk's rows fetched from their own database, until enough are found. Which aliases are read is left to
the two querysets: to the routers, or to `using()`.
"""

from typing import Any

from django.core.exceptions import FieldError
from django.db.models import Field, IntegerField, Model, QuerySet

CHUNK = 1000  # within every vendor's limit of parameters for one statement


def rows_by_key[M: Model](
    queryset: QuerySet[M], keys: QuerySet[Any, Any], *, field: str = "id", after: int, limit: int
) -> list[M]:
    """Return the first `limit` rows of `queryset` whose `field` is among `keys` and above `after`, in its order.

    `keys` is a queryset of one column, as `values("user_id")` makes it. Keys without a row, as of deleted rows, are
    passed over; NULL is no key. Each chunk costs one query on the keys' alias and one on the rows' alias: one of each
    while no key is dead and `limit` is at most 1,000. The two databases share no snapshot.

    Raises FieldError unless both columns hold integers, whose order is the same on every server, and `field` is unique.
    """
    source = _column_of(keys)
    if not _integers_of(queryset.model, field).unique:
        raise FieldError(f"{queryset.model._meta.label}.{field} is not unique, so it cannot be paged through by key.")
    _integers_of(keys.model, source)
    ordered = keys.order_by(source).values_list(source, flat=True).distinct()

    rows: list[M] = []
    size = min(limit, CHUNK)
    while len(rows) < limit:
        chunk = list(ordered.filter(**{f"{source}__gt": after})[:size])
        if chunk:
            found = queryset.filter(**{f"{field}__in": chunk}).order_by(field)
            rows += found[: limit - len(rows)]
        if len(chunk) < size:
            break
        after, size = chunk[-1], CHUNK
    return rows


def _column_of(keys: QuerySet[Any, Any]) -> str:
    columns: tuple[str, ...] = keys.query.values_select
    if len(columns) != 1:
        raise FieldError(
            f"The queryset of keys of {keys.model._meta.label} has {len(columns)} columns. Name one: values('user_id')."
        )
    return columns[0]


def _integers_of(model: type[Model], name: str) -> "Field[Any, Any]":
    field = model._meta.get_field(name)
    target = getattr(field, "target_field", field)
    if not isinstance(field, Field) or not isinstance(target, IntegerField):
        raise FieldError(
            f"{model._meta.label}.{name} is no column of integers, so its order may differ between servers. "
            "Use a column of integers."
        )
    return field
