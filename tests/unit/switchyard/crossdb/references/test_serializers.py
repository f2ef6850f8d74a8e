"""Fixtures of Django and schemas of django-ninja take references as foreign keys."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import IntegrityError
from ninja import ModelSchema

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.testing import assert_queries

pytestmark = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)

NOON = "2026-01-02T12:00:00Z"


@pytest.fixture
def event() -> AnalyticsEvent:
    """An event of ada."""
    event = AnalyticsEvent.objects.create(user=User.objects.create(username="ada"), kind="login", at=NOON)
    event.refresh_from_db()
    return event


def dump(alias: str, label: str, kind: str, *options: str) -> str:
    """Return what `dumpdata` prints."""
    printed = StringIO()
    call_command("dumpdata", label, *options, database=alias, format=kind, stdout=printed)
    return printed.getvalue()


@pytest.mark.parametrize("kind", ["json", "jsonl", "xml"])
@pytest.mark.parametrize("options", [(), ("--natural-foreign",), ("--natural-foreign", "--natural-primary")])
def test_fixture__of_each_alias(kind: str, options: tuple[str, ...], event: AnalyticsEvent, tmp_path: Path) -> None:
    """Dumps of both aliases, loaded again on their aliases, give the same rows, also by natural keys."""
    files = {"default": tmp_path / f"users.{kind}", "analytics": tmp_path / f"events.{kind}"}
    files["default"].write_text(dump("default", "accounts", kind, *options))
    files["analytics"].write_text(dump("analytics", "analytics", kind, *options))
    AnalyticsEvent.objects.all().delete()
    User.objects.all().delete()

    for alias, file in files.items():
        call_command("loaddata", file, database=alias, verbosity=0)

    assert [(each.user.username, each.kind) for each in AnalyticsEvent.objects.all()] == [("ada", "login")]


def test_dump__natural_key(event: AnalyticsEvent) -> None:
    """A natural key stands in place of the key, and is read where users are read."""
    (row,) = json.loads(dump("analytics", "analytics", "json", "--natural-foreign"))
    (plain,) = json.loads(dump("analytics", "analytics", "json"))

    assert (row["fields"]["user"], plain["fields"]["user"]) == (["ada"], event.user_id)


@pytest.mark.parametrize("kind", ["json", "xml"])
def test_load__unknown_natural_key(kind: str, event: AnalyticsEvent, tmp_path: Path) -> None:
    """A natural key without a parent stops the load, as with any foreign key that takes no NULL."""
    file = tmp_path / f"events.{kind}"
    file.write_text(dump("analytics", "analytics", kind, "--natural-foreign"))
    User.objects.all().delete()

    with pytest.raises(IntegrityError, match="NOT NULL"):
        call_command("loaddata", file, database="analytics", verbosity=0)


def test_load__forward_reference(event: AnalyticsEvent) -> None:
    """A parent that the loader may expect later is looked up on its owner at the end."""
    text = serializers.serialize("json", [event], use_natural_foreign_keys=True)
    User.objects.update(username="later")
    (loaded,) = serializers.deserialize("json", text, using="analytics", handle_forward_references=True)
    User.objects.update(username="ada")

    loaded.save_deferred_fields(using="analytics")

    assert AnalyticsEvent.objects.get().user.username == "ada"


@pytest.mark.parametrize("kind", ["json", "jsonl", "xml", "python"])
def test_serializer__round_trip(kind: str, event: AnalyticsEvent) -> None:
    """Each format keeps the key of the parent, without a query."""
    with assert_queries():
        (loaded,) = serializers.deserialize(kind, serializers.serialize(kind, [event]))

    assert (loaded.object.user_id, loaded.object.kind) == (event.user_id, "login")


class EventOut(ModelSchema):
    """The event with the key of its user."""

    class Meta:
        model = AnalyticsEvent
        fields = ("id", "user", "kind")


class UserOut(ModelSchema):
    """The part of a user that is shown."""

    class Meta:
        model = User
        fields = ("id", "username")


class NestedOut(ModelSchema):
    """The event with its user inside."""

    user: UserOut

    class Meta:
        model = AnalyticsEvent
        fields = ("kind",)


def test_ninja__key(event: AnalyticsEvent) -> None:
    """A schema of the model has the key under the name of the column, and sends no query."""
    assert EventOut.model_json_schema()["properties"]["user_id"]["type"] == "integer"
    with assert_queries():
        found = EventOut.from_orm(AnalyticsEvent(pk=1, user_id=7, kind="login"))
    assert found.model_dump() == {"id": 1, "user": 7, "kind": "login"}


def test_ninja__nested(event: AnalyticsEvent) -> None:
    """A nested schema reads the parent; a prefetch reads the parents of all rows together."""
    events = AnalyticsEvent.objects.prefetch_related("user")

    with assert_queries(analytics=1, replica=1):
        found = [NestedOut.from_orm(each).model_dump() for each in events]

    assert found == [{"user": {"id": event.user_id, "username": "ada"}, "kind": "login"}]
