"""The query of `GET /api/users/active`."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from tests.support.examples import examples
from tests.support.joins import cases, check_same_as_join

from accounts.models import User
from analytics.models import AnalyticsEvent
from analytics.selectors import user_active_list
from switchyard.testing import assert_queries

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)


@databases
@settings(
    max_examples=examples(100, all_cases=1_000),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(case=cases)
def test_user_active_list__any_rows(case: dict[str, Any]) -> None:
    """Page by page, the users are those of one SQL join over the same rows in a single database."""
    check_same_as_join(**case)


@databases
def test_user_active_list__one_query_on_each_alias() -> None:
    """A full page takes one query of keys and one of users."""
    User.objects.bulk_create([User(pk=key, username=f"user{key}") for key in (1, 2, 3)])
    AnalyticsEvent.objects.bulk_create([AnalyticsEvent(user_id=key, kind="view", at=NOON) for key in (1, 3, 3)])

    with assert_queries(analytics=1, replica=1):
        assert [user.pk for user in user_active_list(since=NOON, after=0, limit=2)] == [1, 3]
