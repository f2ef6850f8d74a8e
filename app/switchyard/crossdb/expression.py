"""The condition that a key of one database is among the keys of another database."""

from collections.abc import Iterable
from typing import Any, Self

from django.core.exceptions import FieldError
from django.db.models import BooleanField, Expression, F, QuerySet
from django.db.models.query import ModelIterable

from switchyard.crossdb import execution
from switchyard.crossdb.key_types import check_comparable


class CrossDatabaseIn(Expression):
    """Is true for rows whose `field` is among the keys of a queryset on another database.

    Use it wherever a `Q` stands: `filter()`, `exclude()`, `Q(...) | CrossDatabaseIn(...)`, `annotate()`; and before
    `count()`, `exists()`, slices, aggregates, `update()` and `delete()`. `field` is a name as in `F()`, without a relation
    to many rows. `queryset` has one column, as `values("user_id")` makes it; without one its primary key is meant.
    `max_keys` is the largest number of distinct keys, None for any number.

    The keys are read when the outer query runs, from the alias that the routers or `using()` choose, and not before:
    `str(queryset.query)` and `explain()` show a placeholder. NULL keys are dropped, and a row without a value does not
    match, so `exclude()` returns it. The two databases share no snapshot.

    Queries: one on each alias for up to 10,000 keys; beyond that one on the outer alias for each 10,000 keys if the
    query can be divided, otherwise one with all keys, of which there may be 1,000,000. A source on the same alias becomes
    a subquery. Raises FieldError for columns of different types, and TooManyKeysError when the query runs.

        >>> seen = View.objects.using("analytics").values("product_id")
        >>> Product.objects.filter(CrossDatabaseIn("id", seen)).count()
        0
    """

    conditional = True
    output_field = BooleanField()

    def __init__(self, field: str, queryset: QuerySet[Any, Any], *, max_keys: int | None = None) -> None:
        super().__init__()
        self.column: Any = F(field)
        self.source = _of_one_column(queryset)
        self.max_keys = max_keys
        self.token = object()  # the same in each copy that Django makes of this condition
        execution.install()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.column!r}, keys of {self.source.model._meta.label})"

    def get_source_expressions(self) -> list[Any]:
        """Return the column of the outer query."""
        return [self.column]

    def set_source_expressions(self, exprs: Iterable[Any]) -> None:
        """Replace the column of the outer query."""
        (self.column,) = exprs

    def resolve_expression(self, *args: Any, **kwargs: Any) -> Self:
        """Return a copy for the outer query. Raises FieldError if the types of both columns differ."""
        resolved: Self = super().resolve_expression(*args, **kwargs)
        check_comparable(resolved.column, self.source)
        return resolved

    def as_sql(self, compiler: Any, connection: Any, **_context: Any) -> Any:
        """Return the SQL by the plan of this execution; a placeholder outside an execution."""
        return execution.sql_of(self, compiler, connection)

    @property
    def identity(self) -> tuple[Any, ...]:
        """Compare by the condition itself: a queryset has no value."""
        return type(self), self.token, self.column


def _of_one_column(queryset: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
    """Return the queryset with one column. Raises FieldError if it has several."""
    query = queryset.query
    if queryset._iterable_class is ModelIterable:  # type: ignore[attr-defined]  # noqa: SLF001 - Django's own `__in` asks the query
        return queryset.values("pk")
    columns = [*query.values_select, *query.annotation_select, *query.extra_select]
    if len(columns) != 1:
        raise FieldError(
            f"The queryset of keys of {queryset.model._meta.label} has {len(columns)} columns."
            " Name one column: values('user_id')."
        )
    return queryset
