"""The children of parents that are gone."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models
from django.db.models import QuerySet
from tests.support.moments import NOON
from tests.support.scratch_tables import scratch_tables

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import CrossDatabaseForeignKey
from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.worker import children
from switchyard.crossdb.references.worker.children import parents_among, reach

databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)


class Note(models.Model):
    """A child that outlives its parent."""

    user = CrossDatabaseForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        apps = Apps()
        app_label = "analytics"
        db_table = "test_note"

    def __str__(self) -> str:
        return str(self.user_id)


@pytest.fixture
def notes(users: list[User]) -> Iterator[Reference]:
    """A reference whose rule is SET_NULL, and a note of each user."""
    with scratch_tables("analytics", (Note,)):
        Note.objects.using("analytics").bulk_create([Note(user=user) for user in users])
        yield Reference(Note._meta.get_field("user"))


def kept() -> set[int]:
    """Return the users of all events."""
    return set(AnalyticsEvent.objects.values_list("user_id", flat=True))


@databases
def test_reach__cascade(users: list[User], reference: Reference) -> None:
    """The children of a parent that is gone are deleted, and those of an existing parent stay."""
    User.objects.filter(pk=2).delete()

    results = list(reach(reference, {2, 3}))

    assert kept() == {1, 3, 4, 5}
    assert sum(each.children for each in results) == 2
    assert set().union(*(each.existing for each in results)) == {3}


@databases
def test_reach__set_null(notes: Reference) -> None:
    """The reference of a child becomes NULL, and the child stays."""
    User.objects.filter(pk__in=[2, 3]).delete()

    results = list(reach(notes, {1, 2, 3}))

    assert sorted(Note.objects.using("analytics").values_list("user_id", flat=True), key=str) == [1, 4, 5, None, None]
    assert sum(each.children for each in results) == 2


@databases
def test_reach__more_children_than_a_batch(
    users: list[User], reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No batch has more children than the bound, and all are reached."""
    monkeypatch.setattr(children, "CHILDREN_SIZE", 3)
    User.objects.all().delete()

    results = list(reach(reference, {1, 2, 3, 4, 5}))

    assert [each.children for each in results] == [3, 3, 3, 1]
    assert kept() == set()


@databases
def test_reach__parents_exist(users: list[User], reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end comes, though all children of the first batch stay."""
    monkeypatch.setattr(children, "CHILDREN_SIZE", 1)

    results = list(reach(reference, {1, 2}))

    assert [each.children for each in results] == [0, 0]
    assert kept() == {1, 2, 3, 4, 5}


@databases
def test_reach__parent_comes_back_meanwhile(users: list[User], reference: Reference) -> None:
    """A child of a parent that came back after the children were read stays."""

    class ComesBack(Reference):
        def parents(self) -> QuerySet[Any, Any]:
            found = super().parents()
            if not found.filter(pk=2).exists():
                User.objects.create(pk=2, username="again")
                AnalyticsEvent.objects.create(user_id=2, kind="new", at=NOON)
            return found

    User.objects.filter(pk=2).delete()
    AnalyticsEvent.objects.filter(user_id=2, kind="logout").delete()

    list(reach(ComesBack(reference.field), {2}))

    assert AnalyticsEvent.objects.filter(user_id=2, kind="new").exists()


@databases
def test_reach__child_gets_another_parent(users: list[User], reference: Reference) -> None:
    """A child that was given to another parent after it was read stays."""

    class Given(Reference):
        def parents(self) -> QuerySet[Any, Any]:
            AnalyticsEvent.objects.filter(user_id=2, kind="login").update(user_id=3)
            return super().parents()

    User.objects.filter(pk=2).delete()

    list(reach(Given(reference.field), {2}))

    assert kept() == {1, 3, 4, 5}
    assert AnalyticsEvent.objects.filter(user_id=3).count() == 3


@databases
def test_parents_among__some(users: list[User], reference: Reference) -> None:
    """The keys of existing parents are returned, and no other ones."""
    assert parents_among(reference, {1, 5, 6}) == {1, 5}
