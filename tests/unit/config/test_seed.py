"""`manage.py seed`: bulk, the same rows for the same seed, and no change where the rows exist."""

import datetime as dt

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from accounts.models import User
from analytics.models import AnalyticsEvent
from legacy.models import Customer, Order
from switchyard.routing import allow_writes
from switchyard.routing.topology.ownership import owner_of
from switchyard.testing import assert_queries

everywhere = pytest.mark.django_db(databases=["default", "analytics", "legacy"])

ROWS = {
    "users": User.objects.using("default").order_by("username").values_list("username", "first_name", "date_joined"),
    "events": AnalyticsEvent.objects.order_by("pk").values_list("kind", "at"),
    "customers": Customer.objects.order_by("pk").values_list("name", "email", "created_at"),
    "orders": Order.objects.order_by("pk").values_list("placed_at", "total_cents"),
}


def rows():
    return {name: list(queryset.all()) for name, queryset in ROWS.items()}


def empty():
    User.objects.all().delete()
    AnalyticsEvent.objects.all().delete()
    with allow_writes(owner_of(Customer), reason="a test's rows"):
        Customer.objects.all().delete()


@everywhere
def test_seed__numbers():
    """It makes as many rows as the options say, events of these users only, and orders of the customers."""
    call_command("seed", users=3, events=20, customers=4)

    assert User.objects.using("default").count() == 3
    assert AnalyticsEvent.objects.count() == 20
    assert Customer.objects.count() == 4
    assert Order.objects.exists()
    users = set(User.objects.using("default").values_list("pk", flat=True))
    assert set(AnalyticsEvent.objects.values_list("user_id", flat=True)) <= users


@everywhere
def test_seed__same_number():
    """The same seed makes the same rows."""
    call_command("seed", users=3, events=20, customers=4, seed=7)
    first = rows()
    empty()

    call_command("seed", users=3, events=20, customers=4, seed=7)

    assert rows() == first


@everywhere
def test_seed__other_number():
    """Another seed makes more rows."""
    call_command("seed", users=3, events=20, customers=4, seed=1)
    call_command("seed", users=3, events=20, customers=4, seed=2)

    assert User.objects.using("default").count() == 6
    assert AnalyticsEvent.objects.count() == 40
    assert Customer.objects.count() == 8


@everywhere
def test_seed__twice(capsys):
    """A second run adds no rows, and says so for each app."""
    call_command("seed", users=3, events=20, customers=4)
    before = rows()

    call_command("seed", users=3, events=20, customers=4)

    assert rows() == before
    assert capsys.readouterr().out.count("left alone") == 3


@everywhere
def test_seed__part_of_it():
    """An app with 0 rows gets no query."""
    with assert_queries(legacy=4):
        call_command("seed", users=0, events=0, customers=1)

    assert Customer.objects.count() == 1


@everywhere
def test_seed__events_without_users():
    """Events need users of the same seed: without users the command names the option for them."""
    with pytest.raises(CommandError, match="--users"):
        call_command("seed", users=0, events=5, customers=0)


@everywhere
def test_seed__bulk():
    """The number of statements grows with batches, not with rows."""
    with CaptureQueriesContext(connections["default"]) as few:
        call_command("seed", users=10, events=0, customers=0, seed=1)
    with CaptureQueriesContext(connections["default"]) as many:
        call_command("seed", users=1000, events=0, customers=0, seed=2)

    assert len(many) - len(few) < 10


@everywhere
def test_seed__absent_app(settings):
    """An app that is not installed gets no rows."""
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "legacy"]

    with assert_queries(default=2):
        call_command("seed", users=1, events=0, customers=5)


@pytest.mark.parametrize("count", ["-1", "many", "1.5"])
def test_seed__no_number(count):
    """The command refuses the count, with the value."""
    with pytest.raises(CommandError, match=f"'{count}' is no number"):
        call_command("seed", f"--users={count}")


@everywhere
def test_seed__days():
    """Events are in the thirty days that the README's tour uses."""
    call_command("seed", users=3, events=200, customers=0)

    moments = set(AnalyticsEvent.objects.values_list("at", flat=True))
    assert min(moments) >= dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert max(moments) < dt.datetime(2026, 1, 31, tzinfo=dt.UTC)


@everywhere
def test_seed__tables_of_another_application(settings: Settings) -> None:
    """Tables that this project does not manage get no sample rows."""
    settings.SWITCHYARD = {**settings.SWITCHYARD, "UNMANAGED": ["legacy"]}

    call_command("seed", users=1, events=1, customers=1)

    assert not Customer.objects.exists()
    assert AnalyticsEvent.objects.exists()
