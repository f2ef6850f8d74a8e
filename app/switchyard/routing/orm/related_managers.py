"""Let Django's related managers write to the owner if the instance comes from a replica.

Django takes the alias that the router chose for a read, or the alias of an instance, also for writes:

- A generic relation names the alias of its reads in each queryset: `article.comments.update()` would write there.
- `add()` and `set()` refuse rows that another alias than the one of the write returned, as if they were not saved.
- Generic keys look for content types on the alias of the instance, and create missing ones there. They also read the
  related row there, even if the owner has a newer row that the client must see.

The functions that make the classes of managers are replaced, because Django makes these classes when a program first
uses a relation, and documents no hook for their methods.
https://github.com/django/django/blob/6.1.3/django/contrib/contenttypes/fields.py#L649-L660
https://github.com/django/django/blob/6.1.3/django/db/models/fields/related_descriptors.py#L848-L878
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.apps import apps
from django.db.models import Manager, Model
from django.db.models.fields import related_descriptors

from switchyard.routing.orm.stale_saves import discard
from switchyard.routing.topology.ownership import owner_of, replicated_by


def install() -> None:
    """Change the managers of all relations, and of generic relations if `contenttypes` is installed."""
    _install_for_foreign_keys()
    if apps.is_installed("django.contrib.contenttypes"):
        _install_for_generic_relations()


@cache  # a change of INSTALLED_APPS in a test calls `install()` again
def _install_for_foreign_keys() -> None:
    related_descriptors.create_reverse_many_to_one_manager = _extended(
        related_descriptors.create_reverse_many_to_one_manager, RelatedRows
    )


@cache
def _install_for_generic_relations() -> None:
    from django.contrib.contenttypes import fields  # noqa: PLC0415 - needs the app
    from django.contrib.contenttypes.models import ContentType, ContentTypeManager  # noqa: PLC0415 - as above

    fields.create_generic_related_manager = _extended(fields.create_generic_related_manager, GenericRelatedRows)
    get_object = ContentType.get_object_for_this_type

    def db_manager(self: Any, using: str | None = None, hints: Any = None) -> Any:
        return Manager.db_manager(self, _owner_of_rows(self.model, using), hints)

    def get_object_for_this_type(self: ContentType, using: str | None = None, **lookups: Any) -> Model:
        model = self.model_class()
        # The router decides, unless the alias is the owner.
        is_owner = model is not None and using == owner_of(model)
        return get_object(self, using=using if is_owner else None, **lookups)

    ContentTypeManager.db_manager = db_manager  # type: ignore[method-assign]
    ContentType.get_object_for_this_type = get_object_for_this_type  # type: ignore[method-assign]


def _extended(make_manager: Any, mixin: type) -> Any:
    """Return a function that makes the same classes of managers with the mixin."""

    def make(superclass: type, relation: Any) -> type:
        manager = make_manager(superclass, relation)
        return type(manager.__name__, (mixin, manager), {"__module__": manager.__module__})

    return make


class RelatedRows:
    """The changed methods of each manager of related rows."""

    field: Any
    instance: Model
    model: type[Model]

    @property
    def _fields(self) -> set[str]:
        """The fields of a related row that name the instance."""
        return {self.field.name}

    def add(self, *objs: Any, bulk: bool = True) -> None:
        """Relate the rows to the instance, also rows that were read from a replica."""
        with _counted_as_rows_of_the_owner(self.model, objs if bulk else ()):
            super().add(*objs, bulk=bulk)  # type: ignore[misc]
        for obj in objs:
            discard(obj, self._fields)

    add.alters_data = True  # type: ignore[attr-defined]  # no template calls it


class GenericRelatedRows(RelatedRows):
    """The changed methods of a manager of generic relations."""

    _db: str | None
    content_type_field_name: str
    object_id_field_name: str

    @property
    def _fields(self) -> set[str]:
        return {self.content_type_field_name, self.object_id_field_name}

    def _apply_rel_filters(self, queryset: Any) -> Any:
        related = super()._apply_rel_filters(queryset)  # type: ignore[misc]
        if self._db is None:
            related._add_hints(instance=self.instance)  # noqa: SLF001 - see the module
            # The router chooses the alias when the queryset runs: only then it is known whether it writes.
            related._db = None  # noqa: SLF001
        return related


def _owner_of_rows(model: type[Model], alias: str | None) -> str | None:
    """Return the owner of the model in place of one of its replicas, and any other alias as it is."""
    owner = replicated_by(alias) if alias else None
    return owner if owner is not None and owner == owner_of(model) else alias


@contextmanager
def _counted_as_rows_of_the_owner(model: type[Model], objs: tuple[Any, ...]) -> Iterator[None]:
    """Give rows from a replica the alias of the owner for this block: their keys are valid there as well."""
    aliases = [(obj, obj._state.db) for obj in objs if isinstance(obj, Model)]
    try:
        for obj, alias in aliases:
            obj._state.db = _owner_of_rows(model, alias)
        yield
    finally:
        for obj, alias in aliases:
            obj._state.db = alias
