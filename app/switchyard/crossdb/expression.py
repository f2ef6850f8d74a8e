"""The condition that a key of one database is among the keys of another database."""

from dataclasses import dataclass
from typing import Any, Self

from django.core.exceptions import FieldError
from django.db.models import F, Lookup, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.functions import Collate
from django.db.models.query import ModelIterable
from django.db.models.sql.datastructures import MultiJoin

from switchyard.crossdb import execution
from switchyard.crossdb.columns import columns_of, refuse_other_than_queryset
from switchyard.crossdb.key_types import check_comparable


class TooManyKeysError(Exception):
    """More keys than a bound allows: the bound of the condition, or the bound of one statement."""

    def __init__(self, source: str, bound: int, remedy: str) -> None:
        self.bound = bound
        super().__init__(f"The queryset of keys of {source} has more than {bound:,} keys. {remedy}")


@dataclass(frozen=True, eq=False, repr=False)
class Source:
    """The keys of a condition. Each copy that Django makes of the condition has the same object."""

    queryset: QuerySet[Any, Any]
    max_keys: int | None

    def __repr__(self) -> str:
        return f"keys of {self.label}"  # the representation of a queryset would run it

    def __reduce__(self) -> Any:
        """Copy and pickle the query of the keys: the pickle of a queryset has its rows, and so would run it."""
        rows: Any = self.queryset
        return _source, (type(rows), rows.model, rows.query, rows._db, rows._hints, self.max_keys)  # noqa: SLF001

    @property
    def label(self) -> str:
        """The name of the model, for messages."""
        return str(self.queryset.model._meta.label)


def _source(  # noqa: PLR0917 - what a pickle has
    of_class: type[QuerySet[Any, Any]], model: Any, query: Any, using: str | None, hints: Any, max_keys: int | None
) -> Source:
    execution.install()  # no condition may have been made in this process
    queryset: Any = of_class(model, using=using, hints=hints)
    queryset.query = query
    return Source(queryset, max_keys)


class CrossDatabaseIn(Lookup):  # SQLite and MySQL use no index for other expressions: they are written as `... = True`
    """Is true for rows whose `field` is among the keys of a queryset on another database.

    Use it wherever a `Q` stands: `filter()`, `exclude()`, `Q(...) | CrossDatabaseIn(...)`, `annotate()`; and before
    `count()`, `exists()`, slices, aggregates, `update()` and `delete()`. `field` is a name as in `F()`, and leads to
    one row. `queryset` has one column, as `values("user_id")` makes it; without one its primary key is meant.
    `max_keys` is the largest number of distinct keys, None for any number. Texts are equal by the collation of `field`,
    or by `collation`, which the outer query's database must have.

    The keys are read when the outer query runs, from the alias that the routers or `using()` choose, and not before:
    `str(queryset.query)` and `explain()` show a placeholder. NULL keys are dropped, and a row without a value does not
    match, so `exclude()` returns it. The two databases share no snapshot.

    Queries: one on each alias for up to 10,000 keys; beyond that one on the outer alias for each 10,000 keys if the
    query can be divided, otherwise one by a temporary table, or with all keys, of which there may be 1,000,000. A
    source on the same alias becomes a subquery. Raises FieldError for columns of different types, columns of different
    `db_collation` without `collation`, and a relation to several rows; ValueError for a name that no collation can
    have; TypeError for a `field` that is no name, another object than a queryset, and a condition as the value of a
    name, as in `filter(id=...)`; TooManyKeysError when the query runs.

        >>> from switchyard.crossdb import CrossDatabaseIn
        >>> users = [User.objects.create(pk=key, username=name) for key, name in ((7, "ada"), (8, "bob"))]
        >>> event = Event.objects.create(user_id=7, kind="login", at=NOW)
        >>> active = CrossDatabaseIn("id", Event.objects.values("user_id"))
        >>> User.objects.using("default").filter(active).count(), User.objects.using("default").exclude(active).count()
        (1, 1)
    """

    prepare_rhs = False
    rhs: Source

    def __init__(
        self,
        field: str,
        queryset: QuerySet[Any, Any],
        *,
        max_keys: int | None = None,
        collation: str | None = None,
    ) -> None:
        if not isinstance(field, str):
            raise TypeError(
                f"CrossDatabaseIn needs the name of a field, and got {field!r}: give a text such as 'user_id'."
                " An expression gets a name by annotate()."
            )
        _check_bound(max_keys)
        column = F(field) if collation is None else Collate(field, collation)
        super().__init__(column, Source(_of_one_column(queryset), max_keys))
        execution.install()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the arguments out of copies and pickles: the queryset among them would run."""
        state: Any = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_constructor_args"}

    @classmethod
    def of_column(cls, column: Any, queryset: QuerySet[Any, Any]) -> Self:
        """Return the condition for a column that is resolved already. Raises FieldError as with a name."""
        condition = cls("pk", queryset)
        condition.set_source_expressions([column])
        check_comparable(column, condition.rhs.queryset)
        return condition

    def resolve_expression(self, query: Any = None, *args: Any, **kwargs: Any) -> Self:
        """Return a copy for the outer query. Raises FieldError if both columns cannot be compared."""
        resolved: Self = super().resolve_expression(query, *args, **kwargs)
        expressions: Any = self.flatten()
        for each in expressions:
            if issubclass(type(each), F):
                _refuse_several_rows(query, each.name)
        check_comparable(resolved.lhs, self.rhs.queryset)
        return resolved

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """Return the SQL by the plan of this execution; a placeholder outside an execution."""
        return execution.sql_of(self, compiler, connection)


def _refuse_several_rows(query: Any, name: str) -> None:
    """Raise FieldError if the name leads to several rows for a row of the query.

    One join serves a filter. `exclude()` would return each row that has one other row beside a matching one.
    """
    parts = name.split(LOOKUP_SEP)
    if parts[0] in query.annotations:
        return
    try:
        query.names_to_path(parts, query.get_meta(), allow_many=False)
    except MultiJoin as error:
        *before, (relation, path) = error.names_with_path
        rows: Any = path[-1].to_opts
        outer = LOOKUP_SEP.join([*(each for each, _ in before), "pk"])
        raise FieldError(
            f"CrossDatabaseIn('{name}', ...) leads to several rows by '{relation}': those of {rows.label}."
            " Filter these rows, and the outer query by the keys that they refer to:"
            f" CrossDatabaseIn('{outer}', {_model_of(rows)}.objects.filter(CrossDatabaseIn(...)).values(...))."
        ) from None


def _model_of(rows: Any) -> str:
    """Return the name by which a program reaches the model: it has no name for one that Django made for a relation."""
    maker = rows.auto_created
    if not maker:
        return str(rows.object_name)
    relation = next(each for each in maker._meta.many_to_many if each.remote_field.through is rows.model)
    return f"{maker.__name__}.{relation.name}.through"


def _check_bound(max_keys: Any) -> None:
    """Raise TypeError or ValueError unless it is None or a number of keys. 0 allows no key."""
    if max_keys is None:
        return
    if not isinstance(max_keys, int) or isinstance(max_keys, bool):
        raise TypeError(f"max_keys is {max_keys!r}. Give a whole number, or None for any number of keys.")
    if max_keys < 0:
        raise ValueError(f"max_keys is {max_keys}. Give 0 or more, or None for any number of keys.")


def _of_one_column(queryset: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
    """Return the queryset with one column. Raises FieldError if it has several."""
    refuse_other_than_queryset("CrossDatabaseIn", queryset, "use `__in` for a list of keys")
    if queryset._iterable_class is ModelIterable:  # noqa: SLF001 - `values()` says so nowhere else
        return queryset.values("pk")
    columns = columns_of(queryset)
    if len(columns) != 1:
        raise FieldError(
            f"The queryset of keys of {queryset.model._meta.label} has {len(columns)} columns:"
            f" {', '.join(columns)}. Name one of them by values(...)."
        )
    return queryset
