"""By which collation texts are compared."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps.registry import Apps
from django.core.exceptions import FieldError
from django.db import models
from django.db.models.functions import Collate
from tests.support.moments import NOON

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import CrossDatabaseIn, explain_cross

databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)
users, events = User.objects, AnalyticsEvent.objects
_apps = Apps()


class Coded(models.Model):
    """Has texts of two collations, and a reference to one of them. No test makes its table."""

    code = models.CharField(max_length=9, unique=True, db_collation="NOCASE")
    same = models.TextField(db_collation="NOCASE")
    parent = models.ForeignKey("self", models.DO_NOTHING, to_field="code")
    address = models.GenericIPAddressField()

    class Meta:
        apps = _apps
        app_label = "accounts"

    def __str__(self) -> str:
        return self.code


def store() -> None:
    """Store the users `ada` and `bob`, and one event, whose kind is `ADA`."""
    users.bulk_create([User(pk=key, username=name) for key, name in ((1, "ada"), (2, "bob"))])
    events.create(user_id=1, kind="ADA", at=NOON)


@pytest.mark.parametrize(
    ("rows", "field", "source", "message"),
    [
        (
            users,
            "username",
            lambda: Coded.objects.values("code"),
            r"accounts\.User\.username is compared with accounts\.Coded\.code, .*'NOCASE': .* collation='...'\.$",
        ),
        (Coded.objects, "same", lambda: events.values("kind"), "their db_collation is 'NOCASE' and None"),
        (Coded.objects, "parent", lambda: events.values("kind"), "their db_collation is 'NOCASE' and None"),
    ],
    ids=["of the keys", "of the column", "of a reference"],
)
def test_condition__different_collations(
    rows: Any, field: str, source: Callable[[], models.QuerySet[Any]], message: str
) -> None:
    """A FieldError names both columns and their collations, and the remedy, before any query."""
    with pytest.raises(FieldError, match=message):
        rows.filter(CrossDatabaseIn(field, source()))


@pytest.mark.parametrize(
    ("field", "source", "options"),
    [
        ("code", lambda: Coded.objects.values("same"), {}),
        ("parent", lambda: Coded.objects.values("code"), {}),
        ("code", lambda: Coded.objects.values("address"), {}),
        ("code", lambda: events.values("kind"), {"collation": "BINARY"}),
        ("collated", lambda: events.values("kind"), {}),
    ],
    ids=["same", "same of a reference", "keys without a collation", "named", "named by the query"],
)
def test_condition__comparable_collations(
    field: str, source: Callable[[], models.QuerySet[Any]], options: dict[str, Any]
) -> None:
    """Columns of one collation can be compared, and others by a collation that the program names."""
    rows = Coded.objects.alias(collated=Collate("code", "BINARY"))

    assert str(rows.filter(CrossDatabaseIn(field, source(), **options)).query)


@databases
@pytest.mark.parametrize("rows", [events, users], ids=["another alias", "the same alias"])
def test_collation__chooses_equal_texts(rows: Any) -> None:
    """A text is equal to a key by the named collation, and otherwise by that of its column."""
    store()
    source = rows.filter(pk__gt=0).values("kind" if rows is events else "first_name")
    users.update(first_name="ADA")

    assert not users.filter(CrossDatabaseIn("username", source)).exists()
    found = CrossDatabaseIn("username", source, collation="NOCASE")
    assert [user.pk for user in users.filter(found)] == [1]
    assert [user.pk for user in users.exclude(found)] == [2]


@pytest.mark.parametrize("field", ["id", "address"])
def test_collation__of_no_text(field: str) -> None:
    """A collation for values that are no text is a FieldError, before any query."""
    expected = rf"accounts\.Coded\.{field} has the type .*, whose values no collation compares\."

    with pytest.raises(FieldError, match=expected):
        Coded.objects.filter(CrossDatabaseIn(field, Coded.objects.values(field), collation="NOCASE"))


@pytest.mark.parametrize("name", ["", 'C" OR 1=1', "a b"])
def test_collation__impossible_name(name: str) -> None:
    """A name that no collation can have is an error when the condition is made."""
    with pytest.raises(ValueError, match="Invalid collation name"):
        CrossDatabaseIn("username", events.values("kind"), collation=name)


@databases
def test_explain_cross__collation() -> None:
    """The plan of a condition names its collation."""
    condition = CrossDatabaseIn("username", events.values("kind"), collation="NOCASE")

    assert explain_cross(users.using("default").filter(condition)).startswith(
        "User.username by collation 'NOCASE' on 'default' among the keys AnalyticsEvent.kind on 'analytics':"
    )
