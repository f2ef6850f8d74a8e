"""Models: reads, saves, deletions and options."""

import copy
import inspect
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes import fields
from django.contrib.contenttypes.fields import (
    GenericForeignKey,
    GenericRelation,
    ReverseGenericManyToOneDescriptor,
)
from django.contrib.contenttypes.models import ContentType, ContentTypeManager
from django.db import models
from django.db.models import Model, Value, query
from django.db.models.deletion import Collector
from django.db.models.fields import related_descriptors
from django.db.models.fields.related_descriptors import ReverseManyToOneDescriptor
from django.db.models.sql.compiler import SQLCompiler
from django.db.utils import ConnectionRouter
from tests.support.kinds import Kind, Special, made
from tests.support.noting import StopHereError, noting, parameters

from accounts.models import User
from switchyard.routing.orm import cascades, locks, redirected_writes, stale_saves

in_testcase = pytest.mark.django_db(databases=["default"])
in_transactions = pytest.mark.django_db(databases=["default", "replica"], transaction=True)


@pytest.fixture
def ada() -> User:
    """Return a user of the owner."""
    return User.objects.create(username="ada")


@in_testcase
def test_from_db__of_a_read(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queryset makes each instance by `from_db()`, with the alias and the values by attribute names."""
    calls: list[tuple[Any, ...]] = []

    def note(cls: Any, db: str, field_names: Any, values: Any, **modes: Any) -> Any:
        calls.append((cls, db, dict(zip(field_names, values, strict=True))["username"]))
        return stale_saves._from_db(cls, db, field_names, values, **modes)

    monkeypatch.setattr(User, "from_db", classmethod(note))
    found = User.objects.using("default").get()

    assert calls == [(User, "default", "ada")]
    assert (found._state.db, found) == ("default", ada)
    assert parameters(stale_saves._from_db)[:4] == ["cls", "db", "field_names", "values"]


@in_testcase
def test_refresh_from_db__sets_the_alias(ada: User) -> None:
    """`refresh_from_db()` takes its arguments in this order and leaves the alias in `_state.db`."""
    ada._state.db = "elsewhere"
    stale_saves._refresh_from_db(ada, "default", ["username"], None)

    assert ada._state.db == "default"
    assert parameters(Model.refresh_from_db) == parameters(stale_saves._refresh_from_db)


@in_transactions
def test_save_table__order_of_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """A save calls `_save_table()` for each table, the parents first, and in each `_do_update()`."""
    calls: list[tuple[str, type, Any]] = []

    def save_table(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(stale_saves._save_table).bind(*args, **kwargs).arguments
        calls.append(("table", given["cls"], given["using"]))
        return stale_saves._save_table(*args, **kwargs)

    def do_update(  # noqa: PLR0917 - Django's signature
        self: Model, base_qs: Any, using: str, pk_val: Any, values: Any, update_fields: Any, *rest: Any
    ) -> Any:
        calls.append(("update", base_qs.model, {field.attname for field, _, _ in values}))
        missed = stale_saves._do_update(self, base_qs.filter(pk=-1), using, pk_val, values, update_fields, *rest)
        updated = stale_saves._do_update(self, base_qs, using, pk_val, values, update_fields, *rest)
        assert (bool(missed), bool(updated), update_fields) == (False, True, None)
        return updated

    monkeypatch.setattr(Model, "_save_table", save_table)
    with made("default"):
        special = Special.objects.create()
        calls.clear()
        monkeypatch.setattr(Model, "_do_update", do_update)
        special.save()

    tables = [call for call in calls if call[0] == "table"]
    assert [call[:2] for call in calls] == [("table", Kind), ("update", Kind), ("table", Special), ("update", Special)]
    assert [using for *_, using in tables] == ["default", "default"]
    assert calls[-1][2] == {"extra"}
    assert parameters(stale_saves._save_table) == parameters(stale_saves._discarding_save_table)


def test_do_update__signature() -> None:
    """Django calls `_do_update()` with these arguments by position; a later version may add more."""
    expected = ["self", "base_qs", "using", "pk_val", "values", "update_fields", "forced_update"]

    assert parameters(stale_saves._do_update)[:7] == expected
    assert all(
        parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        for parameter in inspect.signature(stale_saves._do_update).parameters.values()
    )


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda user: pickle.loads(pickle.dumps(user))])
def test_model_state__keeps_attributes(copied: Callable[[Any], Any]) -> None:
    """An attribute on an instance's `_state` is copied and pickled with the instance, into a state of its own."""
    user = User(username="ada")
    vars(user._state)["_mark"] = ("username",)
    other = copied(user)

    assert vars(other._state)["_mark"] == ("username",)
    assert other._state is not user._state


@in_testcase
def test_collector__asks_for_related_objects(ada: User) -> None:
    """A deletion asks `related_objects()` for the children by each relation, before it loads them."""
    collector = noting(Collector, "related_objects")(using="default")
    collector.noted = []
    collector.collect([ada])

    asked = {(related, fields[0].name) for _, related, fields, objects in collector.noted if objects == [ada]}
    assert (collector.using, (LogEntry, "user") in asked) == ("default", True)
    assert parameters(cascades._related_objects) == ["self", "related_model", "related_fields", "objs"]


def test_collector__asks_generic_relations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion asks `bulk_related_objects()` of each generic relation."""
    registry = Apps(["accounts"])

    class Mark(models.Model):
        content_type = models.ForeignKey(ContentType, models.CASCADE, related_name="+")
        object_id = models.BigIntegerField()
        marked = GenericForeignKey()

        class Meta:
            apps = registry
            app_label = "accounts"

        def __str__(self) -> str:
            return str(self.pk)

    class Marked(models.Model):
        marks = GenericRelation(Mark)

        class Meta:
            apps = registry
            app_label = "accounts"

        def __str__(self) -> str:
            return str(self.pk)

    def stop(relation: Any, objs: Any, using: str = "default") -> Any:
        asked.append((relation.model, relation.related_model, objs, using))
        raise StopHereError

    asked: list[Any] = []
    marked = Marked(pk=1)
    original = inspect.getclosurevars(GenericRelation.bulk_related_objects).nonlocals["bulk_related_objects"]
    monkeypatch.setattr(GenericRelation, "bulk_related_objects", stop)
    with pytest.raises(StopHereError):
        Collector(using="default").collect([marked])

    assert asked == [(Marked, Mark, [marked], "default")]
    assert parameters(original) == ["self", "objs", "using"]


def makers() -> dict[Any, Any]:
    """Return Django's own functions that make the classes of related managers, by their modules."""
    replaced = {
        related_descriptors: related_descriptors.create_reverse_many_to_one_manager,
        fields: fields.create_generic_related_manager,
    }
    return {module: inspect.getclosurevars(make).nonlocals["make_manager"] for module, make in replaced.items()}


class Note(models.Model):
    """A row with a generic key."""

    content_type = models.ForeignKey(ContentType, models.CASCADE, related_name="+")
    object_id = models.BigIntegerField()
    subject = GenericForeignKey()

    class Meta:
        apps = Apps()
        app_label = "accounts"

    def __str__(self) -> str:
        return str(self.pk)


class Noted(models.Model):
    """A row with a generic relation."""

    notes = GenericRelation(Note)

    class Meta:
        apps = Note._meta.apps
        app_label = "accounts"

    def __str__(self) -> str:
        return str(self.pk)


RELATIONS = [
    (
        related_descriptors,
        "create_reverse_many_to_one_manager",
        lambda: ReverseManyToOneDescriptor(LogEntry.user.field.remote_field),
    ),
    (
        fields,
        "create_generic_related_manager",
        lambda: ReverseGenericManyToOneDescriptor(Noted._meta.private_fields[0].remote_field),
    ),
]


@pytest.mark.parametrize(("module", "name", "descriptor"), RELATIONS)
def test_related_managers__made_by_functions(
    module: Any, name: str, descriptor: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A descriptor makes its manager's class by the function of its module, with a method `add(*objs, bulk)`."""
    calls: list[Any] = []
    make = makers()[module]
    monkeypatch.setattr(module, name, lambda *args: calls.append(args) or make(*args))
    manager = descriptor().related_manager_cls

    assert [superclass.__name__ for superclass, _ in calls] in (["LogEntryManager"], ["Manager"])
    assert parameters(make) == ["superclass", "rel"]
    assert parameters(manager.add) == ["self", "objs", "bulk"]
    instance = Noted(pk=1) if module is fields else User(pk=1)
    instance._state.db = "default"
    monkeypatch.setattr(ContentTypeManager, "get_for_model", lambda *_args, **_kwargs: ContentType(pk=7))
    made_manager = manager(instance)
    if module is fields:
        assert (made_manager.content_type_field_name, made_manager.object_id_field_name) == (
            "content_type",
            "object_id",
        )
    else:
        assert made_manager.field is LogEntry._meta.get_field("user")
    made_manager(manager="objects")
    assert len(calls) == 2


def test_generic_manager__names_the_alias_of_its_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's manager of a generic relation names the router's alias of a read in its querysets, without a hint."""
    monkeypatch.setattr(ContentTypeManager, "get_for_model", lambda *_args, **_kwargs: ContentType(pk=7))
    noted = Noted(pk=1)
    noted._state.db = "replica"
    manager = makers()[fields](models.Manager, Noted._meta.private_fields[0].remote_field)(noted)
    queryset = manager.all()

    assert (manager._db, queryset._db, queryset._hints) == (None, "replica", {})
    queryset._add_hints(instance=noted)
    queryset._db = None
    assert (queryset.db, queryset.filter(pk=1)._hints) == ("replica", {"instance": noted})


@in_transactions
def test_content_types__of_the_alias_of_an_instance(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generic key gets content types and its row by these methods, with the alias of the instance."""
    asked: list[tuple[str, Any]] = []

    def db_manager(self: Any, using: Any = None, hints: Any = None) -> Any:
        asked.append(("content type", using))
        return models.Manager.db_manager(self, "default")

    def get_object(self: ContentType, using: Any = None, **lookups: Any) -> Any:
        asked.append(("row", using))
        return User(**lookups)

    monkeypatch.setattr(ContentTypeManager, "db_manager", db_manager)
    monkeypatch.setattr(ContentType, "get_object_for_this_type", get_object)
    ada._state.db = "replica"
    note = Note(subject=ada)
    other = Note(content_type_id=note.content_type_id, object_id=7)
    other._state.db = "elsewhere"

    assert other.subject.pk == 7
    assert asked == [("content type", "replica"), ("content type", "elsewhere"), ("row", "elsewhere")]
    assert parameters(models.Manager.db_manager) == ["self", "using", "hints"]


@in_transactions
def test_queryset__alias_of_a_write(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queryset reads its alias from `db`, and `_for_write` says whether the statement writes or locks."""
    asked: list[bool] = []

    def db(self: Any) -> str:
        asked.append(self._for_write)
        return "default"

    monkeypatch.setattr(models.QuerySet, "db", property(db))
    users = User.objects.using("replica")
    reads: list[Callable[[], object]] = [lambda: list(users.all()), users.count, users.exists]
    writes: list[Callable[[], object]] = [
        lambda: users.all().update(first_name="Ada"),
        lambda: users.create(username="bob"),
        lambda: users.all().bulk_create([User(username="eve")]),
        lambda: users.all().bulk_update([ada], ["email"]),
        lambda: list(users.all().select_for_update()),
        lambda: users.filter(username="ada").delete(),
    ]
    for calls, expected in ((reads, {False}), (writes, {True})):
        for call in calls:
            asked.clear()
            call()
            assert set(asked) == expected


def test_select_for_update__without_a_transaction() -> None:
    """Django builds no SQL for a lock outside a transaction; the method of a manager calls that of the queryset."""
    users = User.objects.select_for_update()
    assert (users._db, users._for_write, users.query.select_for_update) == (None, True, True)
    assert "select_for_update cannot be used outside of a transaction" in inspect.getsource(SQLCompiler.as_sql)
    assert locks._select_for_update.__qualname__ == "QuerySet.select_for_update"


@in_transactions
def test_save_and_delete__take_the_alias(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """`save()` passes its alias on to `save_base()`, by name; `delete()` uses its own."""
    asked: list[Any] = []

    def save_base(self: Model, **options: Any) -> None:
        asked.append(options["using"])

    monkeypatch.setattr(Model, "save_base", save_base)
    ada.save(using="replica")
    ada.save()

    assert asked == ["replica", "default"]
    expected = ["self", "raw", "force_insert", "force_update", "using", "update_fields"]
    assert parameters(redirected_writes._save_base) == expected
    assert parameters(redirected_writes._delete) == ["self", "using", "keep_parents"]


def test_options__fields() -> None:
    """Options list the fields of each table, the keys, the concrete model and the registry."""
    options = Special._meta
    assert [field.attname for field in options.local_fields] == ["kind_ptr_id", "extra"]
    assert [field.attname for field in options.pk_fields] == ["kind_ptr_id"]
    assert {"parent_id", "extra"} <= {field.attname for field in options.concrete_fields}
    assert [field.name for field in User._meta.local_many_to_many] == ["groups", "user_permissions"]
    assert (options.concrete_model, options.apps, options.swapped) == (Special, Kind._meta.apps, None)
    assert (options.proxy, options.managed, options.db_table) == (False, True, "test_special")
    (target,) = (field for field in LogEntry._meta.local_fields if field.name == "user")
    assert (target.is_relation, target.related_model, target.target_field) == (True, User, User._meta.pk)


def test_options__private_fields() -> None:
    """Generic relations are private fields."""

    class Listed(models.Model):
        marks = GenericRelation(LogEntry)

        class Meta:
            apps = Apps(["accounts"])
            app_label = "accounts"

        def __str__(self) -> str:
            return str(self.pk)

    assert [field.name for field in Listed._meta.private_fields] == ["marks"]


def test_query__selected_columns() -> None:
    """`query.values_select` holds the columns of `values()` and `values_list()`."""
    assert User.objects.values("id").query.values_select == ("id",)
    assert User.objects.values_list("id", flat=True).query.values_select == ("id",)
    assert User.objects.all().query.values_select == ()


def test_query__order_of_columns() -> None:
    """`query.selected` names the columns in their order; without names the other three attributes do together."""
    named = User.objects.annotate(x=Value(1)).values_list("x", "id").query
    later = User.objects.values("id").annotate(x=Value(1)).query
    unnamed = User.objects.extra(select={"y": "1"}).annotate(x=Value(1)).values().query

    assert (list(named.selected or ()), list(later.selected or ())) == (["x", "id"], ["id", "x"])
    assert unnamed.selected is None
    assert (*unnamed.extra_select, unnamed.values_select[0], *unnamed.annotation_select) == ("y", "id", "x")


def test_queryset__class_of_its_rows() -> None:
    """The class that makes the rows tells their form."""
    users = User.objects.all()
    querysets = (users.only("id"), users.values("id"), users.values_list("id"), users.values_list("id", flat=True))

    assert [queryset._iterable_class for queryset in querysets] == [
        query.ModelIterable,
        query.ValuesIterable,
        query.ValuesListIterable,
        query.FlatValuesListIterable,
    ]


def test_query__is_sliced() -> None:
    """A slice is known before it runs."""
    assert User.objects.all()[:5].query.is_sliced
    assert not User.objects.all().query.is_sliced


def test_query__base_table() -> None:
    """The base table is the alias of the columns of the model itself, and not of a joined table."""
    statement = Kind.objects.filter(parent__text="x", text="y").query
    joined, own = (condition.lhs.alias for condition in statement.where.children)

    assert own == statement.base_table
    assert joined != statement.base_table


def test_foreign_key__cached_value() -> None:
    """The object of a foreign key is the cached one, or None, and its column stays."""
    parent, child = Kind(pk=1), Kind(parent_id=5)
    field = Kind._meta.get_field("parent")
    field.set_cached_value(child, parent)

    assert (child.parent, child.parent_id) == (parent, 5)
    field.set_cached_value(child, None)
    assert (child.parent, child.parent_id) == (None, 5)


def test_router__order_of_routers() -> None:
    """`router.routers` holds the objects in the order of DATABASE_ROUTERS; the first answer counts."""
    silent, first = SimpleNamespace(), SimpleNamespace(db_for_read=lambda _model, **_hints: "first")
    router = ConnectionRouter([silent, first, SimpleNamespace(db_for_read=lambda _model, **_hints: "last")])

    assert (router.routers[:2], router.db_for_read(User)) == ([silent, first], "first")
    assert ConnectionRouter([]).db_for_read(User, instance=User()) == "default"
    other = User()
    other._state.db = "other"
    assert ConnectionRouter([]).db_for_read(User, instance=other) == "other"


def test_queryset_db__is_the_named_alias() -> None:
    """A queryset keeps the alias that the program names, and None without one."""
    assert (User.objects.all()._db, User.objects.using("replica").filter(pk=1)._db) == (None, "replica")
