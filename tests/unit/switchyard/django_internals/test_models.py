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
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Model
from django.db.models.deletion import Collector
from django.db.utils import ConnectionRouter
from tests.support.kinds import Kind, Special, made
from tests.support.noting import StopHereError, noting, parameters

from accounts.models import User
from switchyard.routing.orm import cascades, stale_saves

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


def test_router__order_of_routers() -> None:
    """`router.routers` holds the objects in the order of DATABASE_ROUTERS; the first answer counts."""
    silent, first = SimpleNamespace(), SimpleNamespace(db_for_read=lambda _model, **_hints: "first")
    router = ConnectionRouter([silent, first, SimpleNamespace(db_for_read=lambda _model, **_hints: "last")])

    assert (router.routers[:2], router.db_for_read(User)) == ([silent, first], "first")
    assert ConnectionRouter([]).db_for_read(User, instance=User()) == "default"
    other = User()
    other._state.db = "other"
    assert ConnectionRouter([]).db_for_read(User, instance=other) == "other"
