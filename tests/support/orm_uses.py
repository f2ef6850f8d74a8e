"""Uses of a condition in Django's ORM, with results that can be compared.

Each use takes the manager of the outer rows, the condition, the field that it compares, and a field with few values.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import Case, Count, Q, Sum, Value, When

type _Use = Callable[[Any, Any, str, str], Any]


def pks(queryset: Any) -> list[int]:
    """Return the keys of the rows, in the order of the queryset."""
    return [row.pk for row in queryset]


READS: Mapping[str, _Use] = {
    "filter": lambda rows, is_in, field, name: sorted(pks(rows.filter(is_in))),
    "exclude": lambda rows, is_in, field, name: sorted(pks(rows.exclude(is_in))),
    "not": lambda rows, is_in, field, name: sorted(pks(rows.filter(~Q(is_in)))),
    "or": lambda rows, is_in, field, name: sorted(pks(rows.filter(Q(**{name: "a"}) | is_in))),
    "and": lambda rows, is_in, field, name: sorted(pks(rows.filter(is_in & Q(**{name: "a"})))),
    "twice": lambda rows, is_in, field, name: sorted(pks(rows.filter(is_in).filter(is_in))),
    "count": lambda rows, is_in, field, name: rows.filter(is_in).count(),
    "count of the rest": lambda rows, is_in, field, name: rows.exclude(is_in).count(),
    "count of a slice": lambda rows, is_in, field, name: rows.filter(is_in).order_by("pk")[1:4].count(),
    "exists": lambda rows, is_in, field, name: rows.filter(is_in).exists(),
    "ordered by the key": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(field, "pk")),
    "from the last key": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(f"-{field}", "pk")),
    "ordered by another": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(name, "pk")),
    "slice by the key": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(field, "pk")[:3]),
    "slice from the last": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(f"-{field}", "-pk")[:3]),
    "slice by another": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(name, "-pk")[:3]),
    "slice with an offset": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(field, "pk")[1:4]),
    "slice of another": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(name, "pk")[2:4]),
    "slice of the rest": lambda rows, is_in, field, name: pks(rows.exclude(is_in).order_by(name, "pk")[:3]),
    "first": lambda rows, is_in, field, name: rows.filter(is_in).order_by("-pk").first(),
    "last": lambda rows, is_in, field, name: rows.filter(is_in).order_by(name, "pk").last(),
    "iterator": lambda rows, is_in, field, name: sorted(pks(rows.filter(is_in).iterator(2))),
    "ordered iterator": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(field, "pk").iterator(2)),
    "values": lambda rows, is_in, field, name: sorted(rows.filter(is_in).values_list(name, "pk")),
    "distinct": lambda rows, is_in, field, name: sorted(rows.filter(is_in).values_list(name, flat=True).distinct()),
    "aggregate": lambda rows, is_in, field, name: rows.filter(is_in).aggregate(Sum("pk"), Count("pk")),
    "aggregate of a slice": lambda rows, is_in, field, name: rows.filter(is_in).order_by("pk")[:3].aggregate(Sum("pk")),
    "conditional aggregate": lambda rows, is_in, field, name: rows.aggregate(n=Count("pk", filter=Q(is_in))),
    "groups": lambda rows, is_in, field, name: sorted(rows.filter(is_in).values_list(name).annotate(Count("pk"))),
    "annotate": lambda rows, is_in, field, name: sorted(
        rows.annotate(has=Case(When(is_in, then=Value(1)), default=Value(0))).values_list("pk", "has")
    ),
    "order by": lambda rows, is_in, field, name: pks(
        rows.order_by(Case(When(is_in, then=Value(1)), default=Value(0)), "pk")
    ),
    "union": lambda rows, is_in, field, name: sorted(pks(rows.filter(is_in).union(rows.filter(**{name: "a"})))),
    "subquery": lambda rows, is_in, field, name: sorted(pks(rows.filter(pk__in=rows.filter(is_in).values("pk")))),
}
WRITES: Mapping[str, _Use] = {
    "update": lambda rows, is_in, field, name: rows.filter(is_in).update(**{name: "z"}),
    "update the rest": lambda rows, is_in, field, name: rows.exclude(is_in).update(**{name: "z"}),
    "delete": lambda rows, is_in, field, name: rows.filter(is_in).delete()[0],
    "delete the rest": lambda rows, is_in, field, name: rows.exclude(is_in).delete()[0],
}


def reads(rows: Any, condition: Any, field: str, name: str) -> dict[str, Any]:
    """Return the result of each use that reads, by the name of the use."""
    results = {use: read(rows, condition, field, name) for use, read in READS.items()}
    return {use: list(result) if hasattr(result, "query") else result for use, result in results.items()}


def keys_of(source: Any) -> list[Any]:
    """Return the keys of the source, without NULL, as the guide reads them."""
    keys = [row.pk if hasattr(row, "pk") else next(iter(row.values())) for row in source]
    return [key for key in keys if key is not None]
