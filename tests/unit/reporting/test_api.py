"""Reports over HTTP."""

import datetime as dt

import pytest
from tests.support.client import api_client

from analytics.models import AnalyticsEvent
from reporting.models import AnalyticsReport
from switchyard.testing import assert_queries

pytestmark = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)

DAY = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
LAST_MICROSECOND = dt.timedelta(days=1) - dt.timedelta(microseconds=1)


def post(date="2026-01-02"):
    return api_client().post("/api/reports", {"date": date}, content_type="application/json")


def reports():
    return set(AnalyticsReport.objects.values_list("date", "kind", "events", "users"))


def event(user_id, kind, at):
    return AnalyticsEvent.objects.create(user_id=user_id, kind=kind, at=at)


def test_create_report__one_day():
    """One report per kind counts the events of the UTC day, from first to last microsecond, and their users."""
    event(1, "view", DAY)
    event(1, "view", DAY + LAST_MICROSECOND)
    event(2, "login", DAY)
    event(2, "view", DAY - dt.timedelta(microseconds=1))
    event(2, "view", DAY + dt.timedelta(days=1))

    with assert_queries(analytics=3):
        response = post()

    assert (response.status_code, response.json()) == (201, {"date": "2026-01-02", "kinds": 2, "events": 3})
    assert response["Location"] == "/api/reports?since=2026-01-02"
    assert reports() == {(DAY.date(), "view", 2, 1), (DAY.date(), "login", 1, 1)}


def test_create_report__again():
    """A second run updates the rows, and deletes those of kinds without events."""
    event(1, "view", DAY)
    gone = event(1, "login", DAY)
    post()
    key = AnalyticsReport.objects.get(kind="view").pk
    gone.delete()
    event(2, "view", DAY)

    post()

    assert reports() == {(DAY.date(), "view", 2, 2)}
    assert AnalyticsReport.objects.get().pk == key


def test_create_report__other_days():
    """Reports of other days do not change."""
    event(1, "view", DAY)
    post()

    post("2026-01-03")

    assert reports() == {(DAY.date(), "view", 1, 1)}


@pytest.mark.parametrize("date", ["", "2026-02-30", "1899-12-31", "2200-01-01", "9999-12-31", None, [], 1e300])
def test_create_report__wrong_day(date):
    """422, without a query."""
    with assert_queries():
        assert post(date).status_code == 422


def test_list_reports__since():
    """The reports of that day and of later days, with one query."""
    for day in (1, 2, 3):
        AnalyticsReport.objects.create(date=dt.date(2026, 1, day), kind="view", events=1, users=1)

    with assert_queries(analytics=1):
        page = api_client().get("/api/reports?since=2026-01-02").json()

    assert [report["date"] for report in page["items"]] == ["2026-01-02", "2026-01-03"]
