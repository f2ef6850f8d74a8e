"""A deletion may reach rows of the parent's owner, and no rows of another owner."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps.registry import Apps
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import NestedObjects
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models.deletion import Collector
from django.db.models.signals import pre_delete
from django.test import override_settings

from accounts.models import User
from switchyard.routing.errors import CrossOwnerCascadeError, MisplacedWriteError
from switchyard.testing import assert_queries

pytestmark = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)

ACTIONS = [models.CASCADE, models.PROTECT, models.RESTRICT, models.SET_NULL, models.SET_DEFAULT]
REACHES = (
    r"accounts\.Parent on 'default' was refused: by analytics\.Child\.parent it reaches analytics\.Child, "
    r"owned by 'analytics'\..*`on_delete=DO_NOTHING`.* on 'analytics'"
)


def family(on_delete: Any) -> tuple[Any, Any]:
    """Make a parent in one owner's app and a child in another's. A registry of their own hides them from the checks."""
    registry = Apps(["accounts", "analytics"])

    class Parent(models.Model):
        class Meta:
            apps = registry
            app_label = "accounts"
            db_table = "accounts_user"

        def __str__(self) -> str:
            return str(self.pk)

    class Child(models.Model):
        parent = models.ForeignKey(Parent, on_delete, null=True, db_constraint=False)

        class Meta:
            apps = registry
            app_label = "analytics"

        def __str__(self) -> str:
            return str(self.pk)

    return Parent, Child


@pytest.fixture
def listening() -> Iterator[None]:
    """Connect a receiver to every deletion, so that Django loads the rows before it deletes them."""

    def listen(**_signal: object) -> None:
        """Do nothing."""

    pre_delete.connect(listen)
    yield
    pre_delete.disconnect(listen)


@pytest.mark.parametrize("on_delete", ACTIONS)
def test_cascade__across_owners(on_delete: Any, seen: list[tuple[str, str]]) -> None:
    """With each `on_delete` the deletion is refused before SQL and counted, and the error names the remedy."""
    parent, _ = family(on_delete)

    with assert_queries(), pytest.raises(CrossOwnerCascadeError, match=REACHES):
        parent(pk=1).delete()

    assert seen == [("cross_owner_cascade", "default")]


@pytest.mark.usefixtures("listening")
def test_cascade__that_loads_the_children() -> None:
    """The deletion is refused before the SELECT on the parent's database, for a queryset of parents as well."""
    parent, _ = family(models.CASCADE)
    user = User.objects.create(username="ada")

    with assert_queries(), pytest.raises(CrossOwnerCascadeError, match=REACHES):
        parent(pk=user.pk).delete()
    with assert_queries(default=1), pytest.raises(CrossOwnerCascadeError, match=REACHES):
        parent.objects.all().delete()


def test_cascade__of_children_of_children() -> None:
    """Relations of the children are checked when Django has loaded the children."""
    user = User.objects.create(username="ada")
    LogEntry.objects.create(user=user, action_flag=1)
    parent, _ = family(models.DO_NOTHING)

    class Middle(models.Model):
        user = models.ForeignKey(parent, models.CASCADE)

        class Meta:
            apps = parent._meta.apps
            app_label = "accounts"
            db_table = "django_admin_log"

        def __str__(self) -> str:
            return str(self.pk)

    class Last(models.Model):
        middle = models.ForeignKey(Middle, models.CASCADE, db_constraint=False)

        class Meta:
            apps = parent._meta.apps
            app_label = "analytics"

        def __str__(self) -> str:
            return str(self.pk)

    with assert_queries(default=1), pytest.raises(CrossOwnerCascadeError, match=r"by analytics\.Last\.middle"):
        parent(pk=user.pk).delete()

    assert LogEntry.objects.count() == 1


def test_cascade__by_a_generic_relation() -> None:
    """A deletion over a generic relation is refused as over a foreign key."""
    registry = Apps(["accounts", "analytics"])

    class Mark(models.Model):
        content_type = models.ForeignKey(ContentType, models.CASCADE, related_name="+")
        object_id = models.BigIntegerField()
        marked = GenericForeignKey()

        class Meta:
            apps = registry
            app_label = "analytics"

        def __str__(self) -> str:
            return str(self.pk)

    class Marked(models.Model):
        marks = GenericRelation(Mark)

        class Meta:
            apps = registry
            app_label = "accounts"

        def __str__(self) -> str:
            return str(self.pk)

    with (
        assert_queries(),
        pytest.raises(CrossOwnerCascadeError, match=r"by accounts\.Marked\.marks it reaches analytics\.Mark, owned"),
    ):
        Marked(pk=1).delete()


def test_cascade__that_the_admin_would_show() -> None:
    """The admin's confirmation page looks for the children as a deletion does, and is refused."""
    parent, _ = family(models.CASCADE)

    with assert_queries(), pytest.raises(CrossOwnerCascadeError, match=REACHES):
        NestedObjects(using="default", origin=None).collect([parent(pk=1)])


def test_cascade__do_nothing() -> None:
    """With DO_NOTHING the parent is deleted, and no query goes to the children's database."""
    parent, _ = family(models.DO_NOTHING)
    user = User.objects.create(username="ada")

    with assert_queries(default=1):
        parent(pk=user.pk).delete()

    assert not User.objects.using("default").exists()


@pytest.mark.usefixtures("listening")
def test_cascade__inside_one_owner() -> None:
    """Rows of the same owner are loaded and deleted."""
    user = User.objects.create(username="ada")
    LogEntry.objects.create(user=user, action_flag=1)

    assert user.delete() == (2, {"accounts.User": 1, "admin.LogEntry": 1})


def test_cascade__of_a_parent_on_another_owners_alias(seen: list[tuple[str, str]]) -> None:
    """The error names the parent on the wrong alias, not its children there."""
    with assert_queries(), pytest.raises(MisplacedWriteError, match=r"accounts\.User was refused on 'analytics'"):
        User(pk=1).delete(using="analytics")

    assert seen == [("misplaced_write", "analytics")]


def test_cascade__to_a_model_without_owner() -> None:
    """The place of its rows is unknown, so the deletion is allowed."""
    parent, child = family(models.CASCADE)

    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "OWNERS": {"accounts": "default"}}):
        found = Collector(using="default").related_objects(child, [child._meta.get_field("parent")], [parent(pk=1)])

    assert found.db == "default"
