"""What one keyword of `attach()` adds to the rows of a batch: their keys, and the rows elsewhere with these keys."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any

from django.core.exceptions import FieldDoesNotExist, FieldError, ValidationError
from django.db.models import Field, ForeignObject, Model, QuerySet
from django.db.models.query import FlatValuesListIterable, ModelIterable, ValuesIterable, ValuesListIterable

from switchyard.crossdb.columns import columns_of, refuse_other_than_queryset
from switchyard.crossdb.counting import Execution
from switchyard.crossdb.key_list import KeyList

AnyQuerySet = QuerySet[Any, Any]
MAX_KEPT_KEYS = 20_000  # 4 MB with one short text for each key, and up to 30 MB with instances


@dataclass(frozen=True)
class Keyed:
    """Say which columns pair the rows for `attach()`, where `<name>_id` and the primary key are not the pair.

    `key` is the column of the outer rows, `to` the unique field of `queryset` that has the same values.

        >>> from switchyard.crossdb import Keyed, attach
        >>> ada = User.objects.create(pk=7, username="ada")
        >>> event = Event.objects.create(user_id=ada.pk, kind="login", at=NOW)
        >>> names = Keyed(User.objects.using("default").values_list("username", flat=True), key="user_id")
        >>> list(attach(Event.objects.values_list("kind", "user_id"), username=names))
        [('login', 7, 'ada')]
    """

    queryset: AnyQuerySet
    key: str
    to: str = "pk"


class Attachment:
    """The rows of one keyword. It keeps those of the last 20,000 keys at most, so that frequent keys cost no query."""

    def __init__(self, outer: AnyQuerySet, name: str, rows: AnyQuerySet | Keyed) -> None:
        given = rows if isinstance(rows, Keyed) else Keyed(rows, "")
        self.name, self.queryset = name, given.queryset
        refuse_other_than_queryset(f"attach(..., {name}=...)", given.queryset)
        key: Any = _key_of(outer, name, given.key)
        self.relation = _relation(outer, name, given)
        self.key_attname: str = getattr(key, "attname", key)
        self._key = _key_reader(outer, name, key)
        if self.relation is None:
            _refuse_taken(outer, name, self.key_attname)
        self._key_label = f"{outer.model._meta.label}.{self.key_attname}"
        is_named = isinstance(rows, Keyed) or self.relation is None
        self._to = _unique_field(self.queryset, given.to if is_named else self.relation.target_field.name)
        self._rows, self._indexed = _selection(self.queryset, self._to)
        self._known: dict[Any, Any] = {}
        self.execution = Execution("attach")

    def values_for(self, batch: Sequence[Any]) -> list[Any]:
        """Return the value for each row of the batch: None without a key, and for a key without a row.

        At most one query: for the keys that are not among those kept.
        """
        keys = list(map(self._key, batch))
        wanted = set(keys)
        wanted.discard(None)
        known = self._known
        unknown = wanted.difference(known)
        if len(known) + len(unknown) > MAX_KEPT_KEYS:
            known = {key: known[key] for key in wanted - unknown}
        if unknown:
            self.execution.keys += len(unknown)
            known |= self._found(unknown)
            known |= dict.fromkeys(unknown.difference(known))
        self._known = known
        return list(map(known.get, keys))

    def _found(self, keys: set[Any]) -> dict[Any, Any]:
        try:
            found = self._indexed(self._rows.filter(KeyList(self._to.name, keys)))
        except (TypeError, ValueError, ValidationError):
            self._refuse_other_values(keys)
            raise
        if found.keys() <= keys:
            return found
        # The outer column has another type, such as text for a UUID.
        return {key: found.get(self._to.to_python(key)) for key in keys}

    def _refuse_other_values(self, keys: set[Any]) -> None:
        """Raise FieldError if the other field can have no value such as one of the keys."""
        for key in keys:
            try:
                self._to.get_prep_value(key)
            except (TypeError, ValueError, ValidationError) as error:
                raise FieldError(
                    f"attach(..., {self.name}=...) looks for the keys of {self._key_label} in"
                    f" {self.queryset.model._meta.label}.{self._to.name}, which is a {type(self._to).__name__} and"
                    f" cannot have the value {key!r}."
                    f" Name two columns with the same values: {self.name}=Keyed(queryset, key='...', to='...')."
                ) from error


def form_of(queryset: AnyQuerySet) -> type:
    """Return the class of Django that makes the rows. Raises TypeError for rows of other forms than four."""
    form: type = queryset._iterable_class  # noqa: SLF001 - a queryset has no other name for it before it runs
    if form not in {ModelIterable, ValuesIterable, ValuesListIterable, FlatValuesListIterable}:
        raise TypeError(
            f"attach() does not know rows of the form {form.__name__.removesuffix('Iterable')}."
            " Use instances, values() or values_list() without named=True."
        )
    return form


def _field(model: type[Model], name: str) -> "Field[Any, Any] | None":
    """Return the field with a column of its own that has this name, or whose column has it."""
    try:
        field = model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return field if isinstance(field, Field) and field.column is not None else None


def _key_of(outer: AnyQuerySet, name: str, key: str) -> "Field[Any, Any] | str":
    """Return the field of the outer model that holds the key, or the name of another column of the outer rows."""
    names = (key,) if key else (name, f"{name}_id")
    for each in names:
        if (field := _field(outer.model, each)) is not None:
            return field
    if key and form_of(outer) is not ModelIterable:
        return key
    if names[-1] in outer.query.annotation_select:
        return names[-1]
    raise FieldError(
        f"{outer.model._meta.label} has no field '{names[-1]}' with the keys of '{name}'."
        f" Name the field: {name}=Keyed(queryset, key='...')."
    )


def _key_reader(outer: AnyQuerySet, name: str, key: Any) -> Callable[[Any], Any]:
    attname: str = getattr(key, "attname", key)
    if form_of(outer) is ModelIterable:
        return attrgetter(attname)
    names = _names_of(key)
    columns = columns_of(outer)
    found = next((index for index, column in enumerate(columns) if column in names), None)
    if found is None:
        raise FieldError(
            f"The rows of {outer.model._meta.label} have no column '{attname}' with the keys of '{name}'."
            f" Add '{attname}' to values() or values_list()."
        )
    return itemgetter(columns[found] if form_of(outer) is ValuesIterable else found)


def _names_of(field: "Field[Any, Any] | str") -> set[str]:
    if isinstance(field, str):
        return {field}
    return {field.name, field.attname} | ({"pk"} if field.primary_key else set())


def _relation(outer: AnyQuerySet, name: str, given: Keyed) -> Any:
    """Return the foreign key whose object the keyword sets, or None. Raises FieldError for what is no object of it."""
    field = _field(outer.model, name)
    if not isinstance(field, ForeignObject):
        return None
    of_instances = form_of(outer) is ModelIterable
    of_key = not given.key or given.key in _names_of(field)
    if of_instances and not (of_key and form_of(given.queryset) is ModelIterable):
        raise FieldError(
            f"{outer.model._meta.label}.{name} takes only the instances of its own key."
            f" Choose another name for the keyword: other=Keyed(queryset, key='{given.key or field.attname}')."
        )
    parent: Any = field.related_model
    if of_key and not issubclass(given.queryset.model, parent._meta.concrete_model):
        raise FieldError(
            f"{outer.model._meta.label}.{name} refers to {parent._meta.label}, and the queryset has rows of"
            f" {given.queryset.model._meta.label}. Give a queryset of {parent._meta.label}."
        )
    return field if of_key else None


def _refuse_taken(outer: AnyQuerySet, name: str, key: str) -> None:
    """Raise FieldError if the value of the keyword would replace another value of the outer row."""
    form, query = form_of(outer), outer.query
    if form is ModelIterable:
        is_taken = _field(outer.model, name) is not None or name in query.annotation_select
    else:
        is_taken = form is ValuesIterable and name in columns_of(outer)
    if is_taken:
        raise FieldError(
            f"The rows of {outer.model._meta.label} have a value '{name}' of their own, which attach(..., {name}=...)"
            f" would replace. Choose another name for the keyword: other=Keyed(queryset, key='{key}')."
        )


def _unique_field(queryset: AnyQuerySet, name: str) -> "Field[Any, Any]":
    field = _field(queryset.model, name)
    if field is None or not field.unique:
        raise FieldError(
            f"{queryset.model._meta.label}.{name} is not a unique column, so a key may have many rows."
            " Name a unique column: Keyed(queryset, key='...', to='...')."
        )
    if queryset.query.is_sliced:
        raise TypeError("attach() cannot take a slice, because it filters the rows by keys. Filter the rows instead.")
    return field


def _selection(
    queryset: AnyQuerySet, to: "Field[Any, Any]"
) -> tuple[AnyQuerySet, Callable[[Iterable[Any]], dict[Any, Any]]]:
    """Return the queryset with its key, and the function that indexes its rows by the key and gives them their form."""
    form = form_of(queryset)
    if form is ModelIterable:
        return queryset, lambda rows: _instances_by(to.attname, rows)

    columns = columns_of(queryset)
    at = next((index for index, column in enumerate(columns) if column in _names_of(to)), None)
    selected = queryset.values_list(*([to.attname] if at is None else []), *columns)
    at, rest = (0, slice(1, None)) if at is None else (at, slice(None))
    if form is FlatValuesListIterable and rest.start:
        return selected, dict
    if form is FlatValuesListIterable:
        return selected, lambda rows: {row[at]: row[at] for row in rows}
    if form is ValuesListIterable:
        return selected, lambda rows: {row[at]: row[rest] for row in rows}
    return selected, lambda rows: {row[at]: dict(zip(columns, row[rest], strict=True)) for row in rows}


def _instances_by(attname: str, rows: Iterable[Any]) -> dict[Any, Any]:
    key = attrgetter(attname)
    found = list(rows)
    if found:
        refuse_deferred(found[0], attname)
    return {key(row): row for row in found}


def refuse_deferred(row: Any, attname: str) -> None:
    """Raise FieldError if the field is deferred: each row would cost one more query for its key."""
    if attname in row.get_deferred_fields():
        raise FieldError(
            f"{row._meta.label}.{attname} has the keys, and is deferred."
            f" Add '{attname}' to only(), or remove it from defer()."
        )
