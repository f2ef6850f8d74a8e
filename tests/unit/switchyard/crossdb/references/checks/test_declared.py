"""The checks of references by models and settings, for the service's own reference and for models of the tests."""

from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import CheckMessage
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections, models
from django.test import override_settings
from tests.support.parents import CHILD_APP, PARENT_APP, parents, reference_to
from tests.support.scratch_models import scratch_model

from switchyard.crossdb import CrossDatabaseForeignKey
from switchyard.crossdb.references.checks import declared
from switchyard.crossdb.references.checks.declared import check_references

OWNERS = {**settings.SWITCHYARD["OWNERS"], PARENT_APP: "default", CHILD_APP: "analytics"}


def checked(**switchyard: Any) -> list[CheckMessage]:
    """Return what the check finds with these settings."""
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "OWNERS": OWNERS, **switchyard}):
        return check_references()


def of(customer: Any, monkeypatch: pytest.MonkeyPatch) -> list[CheckMessage]:
    """Return what the check finds for a reference to this model alone."""
    monkeypatch.setattr(declared, "references", lambda **_options: iter([reference_to(customer)]))
    return checked()


def test_check__of_the_service() -> None:
    """The service's own reference has no mistake."""
    assert check_references() == []


def test_check__is_registered() -> None:
    """`manage.py check` prints the message with its id and its hint."""
    said = StringIO()
    switchyard = {**settings.SWITCHYARD, "READ_ONLY": ["legacy", "analytics"]}
    with override_settings(SWITCHYARD=switchyard), pytest.raises(SystemCheckError) as found:
        call_command("check", no_color=True, stdout=said, stderr=said)

    assert "analytics.AnalyticsEvent.user: (switchyard.E017)" in str(found.value)
    assert "HINT: Set on_delete=DO_NOTHING" in str(found.value)


def test_children__on_a_read_only_owner() -> None:
    """The worker could not change the children."""
    (found,) = checked(READ_ONLY=["analytics"])

    assert found.id == "switchyard.E017"
    assert "has on_delete=CASCADE, but its rows are on 'analytics'" in found.msg


def test_parents__on_a_read_only_owner() -> None:
    """The parents may be read-only for the service: others delete them, and the triggers record it."""
    assert checked(READ_ONLY=["default"]) == []


def test_parents__on_an_unmanaged_owner() -> None:
    """No migration makes the triggers there; the hint has the SQL of the table that signals need."""
    (found,) = checked(UNMANAGED=["default"])

    assert found.id == "switchyard.E018"
    assert "for analytics.AnalyticsEvent.user on 'default'" in found.msg
    assert "recorded_by='signals'" in str(found.hint)
    assert 'CREATE TABLE IF NOT EXISTS "switchyard_tombstone"' in str(found.hint)


def test_parents__recorded_by_signals_on_an_unmanaged_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals need no trigger."""
    customer = parents(recorded_by="signals")
    monkeypatch.setattr(declared, "references", lambda **_options: iter([reference_to(customer)]))

    assert checked(UNMANAGED=["default"]) == []


def test_parents__on_another_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vendor without triggers here is named, with those that serve."""
    monkeypatch.setattr(connections["default"], "vendor", "oracle")
    (found,) = checked()

    assert found.id == "switchyard.E019"
    assert "its server is 'oracle'" in found.msg
    assert "postgresql, mysql, sqlite" in str(found.hint)


class Shouted(models.CharField):  # type: ignore[type-arg]
    """A text field of a project."""


GOOD_KEYS = [
    models.SmallAutoField(primary_key=True),
    models.BigIntegerField(primary_key=True),
    models.UUIDField(primary_key=True),
    models.SlugField(primary_key=True),
    Shouted(max_length=255, primary_key=True),
]
WRONG_KEYS = [
    models.CharField(max_length=256, primary_key=True),
    models.CharField(primary_key=True),
    models.TextField(primary_key=True),
    models.DateField(primary_key=True),
    models.DecimalField(max_digits=9, decimal_places=2, primary_key=True),
]


@pytest.mark.parametrize("key", GOOD_KEYS, ids=lambda key: type(key).__name__)
def test_key__of_a_good_type(key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An integer, a UUID or a short text is a key that a tombstone holds."""
    assert of(parents(key), monkeypatch) == []


@pytest.mark.parametrize("key", WRONG_KEYS, ids=lambda key: type(key).__name__)
def test_key__of_a_wrong_type(key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another type, or a text that may be too long, is refused by its name."""
    (found,) = of(parents(key, name="code"), monkeypatch)

    assert found.id == "switchyard.E020"
    assert "by its key 'code', a" in found.msg


def test_key__of_an_inherited_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of a model that inherits a table has the type of the inherited key."""
    customer = parents()
    guest = scratch_model("Guest", PARENT_APP, customer._meta.apps, customer)
    to_guest = CrossDatabaseForeignKey(guest, on_delete=models.CASCADE)
    stay = scratch_model("Stay", CHILD_APP, customer._meta.apps, guest=to_guest)
    monkeypatch.setattr(
        declared, "references", lambda **_options: iter([declared.Reference(stay._meta.get_field("guest"))])
    )

    assert checked() == []


@pytest.mark.skipif(not hasattr(models, "CompositePrimaryKey"), reason="Django 5.2 brought it")
def test_key__of_several_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django itself refuses a reference to a composite key; this check says nothing more."""
    key = models.CompositePrimaryKey("first", "second")
    customer = parents(key, name="pk", first=models.IntegerField(), second=models.IntegerField())
    reference = reference_to(customer)

    assert of(customer, monkeypatch) == []
    assert "fields.E347" in {message.id for message in reference.field.check()}
    assert customer._meta.constraints == []


@pytest.mark.skipif(not hasattr(models, "DB_CASCADE"), reason="Django 6.1 brought it")
@pytest.mark.parametrize(("vendor", "ids"), [("mysql", ["switchyard.E021"]), ("postgresql", []), ("sqlite", [])])
def test_parent__of_a_cascade_of_the_server(vendor: str, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On MySQL a parent that a cascade of the server deletes is refused; the others fire triggers for it."""
    region = models.ForeignKey("self", on_delete=models.DB_CASCADE, null=True)
    monkeypatch.setattr(connections["default"], "vendor", vendor)
    found = of(parents(region=region), monkeypatch)

    assert [each.id for each in found] == ids
    assert all("by the cascade of shop.Customer.region" in each.msg for each in found)


def test_references__to_an_app_without_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app without owner is reported by its own check, and breaks no other one."""
    monkeypatch.setattr(declared, "references", lambda **_options: iter([reference_to(parents())]))

    assert checked(OWNERS={CHILD_APP: "analytics"}) == []
