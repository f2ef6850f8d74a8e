"""Rows of one database by keys of another database."""

import datetime as dt

import pytest
from django.core.exceptions import FieldError
from hypothesis import HealthCheck, given, settings
from tests.support.joins import cases, check_same_as_join

from accounts.models import User
from analytics.models import AnalyticsEvent
from legacy.models import Customer, Order
from switchyard.crossdb import rows, rows_by_key
from switchyard.testing import assert_queries

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)


def store(*, users, events):
    User.objects.bulk_create([User(pk=key, username=f"user{key}") for key in users])
    AnalyticsEvent.objects.bulk_create([AnalyticsEvent(user_id=key, kind="view", at=NOON) for key in events])


def active(*, after=0, limit=10):
    found = rows_by_key(User.objects.all(), AnalyticsEvent.objects.values("user_id"), after=after, limit=limit)
    return [user.pk for user in found]


@databases
@settings(max_examples=1000, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases)
def test_rows_by_key__any_rows(case):
    """Page by page, the result is the same as that of one SQL join over the same rows in a single database."""
    check_same_as_join(**case)


@databases
def test_rows_by_key__every_key_has_a_row():
    """One query on each alias returns each row once."""
    store(users=[1, 2, 3], events=[3, 1, 3])

    with assert_queries(analytics=1, replica=1):
        found = active()

    assert found == [1, 3]


@databases
def test_rows_by_key__no_keys():
    """Without keys the alias of the rows gets no query."""
    store(users=[1], events=[])

    with assert_queries(analytics=1):
        assert active() == []


@databases
def test_rows_by_key__keys_without_a_row():
    """Further chunks are read until enough rows are found."""
    store(users=[50, 51], events=range(1, 52))

    with assert_queries(analytics=2, replica=2):
        found = active(limit=2)

    assert found == [50, 51]


@databases
def test_rows_by_key__more_than_a_chunk(monkeypatch):
    """A limit above the size of a chunk costs one query on each alias for each chunk."""
    monkeypatch.setattr(rows, "CHUNK_SIZE", 4)
    store(users=range(1, 11), events=range(1, 11))

    with assert_queries(analytics=3, replica=3):
        found = active(limit=10)

    assert found == list(range(1, 11))


@databases
def test_rows_by_key__after():
    """Rows with a key of `after` or less are left out."""
    store(users=[1, 2, 3], events=[1, 2, 3])

    assert active(after=1, limit=1) == [2]


@databases
def test_rows_by_key__using():
    """The aliases that the querysets name are read."""
    store(users=[1], events=[1])

    with assert_queries(analytics=1, default=1):
        rows_by_key(User.objects.using("default"), AnalyticsEvent.objects.values("user_id"), after=0, limit=1)


@pytest.mark.parametrize(
    ("queryset", "keys", "field", "message"),
    [
        (User.objects.all(), AnalyticsEvent.objects.all(), "id", "has 0 columns"),
        (User.objects.all(), AnalyticsEvent.objects.values("id", "user_id"), "id", "has 2 columns"),
        (User.objects.all(), AnalyticsEvent.objects.values("kind"), "id", "not a column of integers"),
        (User.objects.all(), AnalyticsEvent.objects.values("user_id"), "username", "not a column of integers"),
        (Order.objects.all(), AnalyticsEvent.objects.values("user_id"), "total_cents", "not unique"),
    ],
    ids=["no column", "two columns", "text keys", "text rows", "not unique"],
)
def test_rows_by_key__wrong_columns(queryset, keys, field, message):
    """A FieldError names the mistake before any query."""
    with pytest.raises(FieldError, match=message):
        rows_by_key(queryset, keys, field=field, after=0, limit=1)


@pytest.mark.django_db(databases=["legacy"])
def test_rows_by_key__foreign_key_as_keys():
    """The column of a foreign key to an integer key is a column of integers."""
    assert rows_by_key(Customer.objects.all(), Order.objects.values("customer_id"), after=0, limit=1) == []
