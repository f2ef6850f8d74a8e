"""Events over HTTP, and the users who have events."""

import datetime as dt
from io import StringIO
from urllib.parse import quote

import pytest
from django.core.management import call_command
from tests.support.client import api_client

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.testing import assert_queries

pytestmark = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)


def post(body):
    return api_client().post("/api/events", body, content_type="application/json")


def test_create_events__one():
    """201 after one query for the user on its owner, and one insert."""
    user = User.objects.create(username="ada")

    with assert_queries(default=1, analytics=1):
        response = post({"user_id": user.pk, "kind": "login", "at": "2026-01-02T13:00:00+01:00"})

    assert (response.status_code, response.json()) == (201, {"stored": 1})
    event = AnalyticsEvent.objects.get()
    assert (event.user_id, event.kind, event.at) == (user.pk, "login", NOON)


def test_create_events__without_a_time():
    """The default time is now."""
    user = User.objects.create(username="ada")
    before = dt.datetime.now(dt.UTC)

    post({"user_id": user.pk, "kind": "login"})

    assert before <= AnalyticsEvent.objects.get().at <= dt.datetime.now(dt.UTC)


def test_create_events__list():
    """A list costs one query for all users, and one insert for each batch."""
    users = [User.objects.create(username=f"user{number}").pk for number in range(3)]

    with assert_queries(default=1, analytics=1):
        response = post([{"user_id": users[number % 3], "kind": "view"} for number in range(100)])

    assert response.json() == {"stored": 100}
    assert AnalyticsEvent.objects.count() == 100


def test_create_events__unknown_user_in_a_list():
    """422 that names each wrong place, after one query; no event is stored."""
    user = User.objects.create(username="ada")

    with assert_queries(default=1):
        response = post([{"user_id": key, "kind": "view"} for key in (user.pk, 777, user.pk, 888)])

    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"source": "body", "pointer": "#/1/user_id", "detail": "No user has the key 777."},
        {"source": "body", "pointer": "#/3/user_id", "detail": "No user has the key 888."},
    ]
    assert not AnalyticsEvent.objects.exists()


def test_create_events__unknown_user():
    """422 that names the field."""
    response = post({"user_id": 777, "kind": "view"})

    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "#/user_id"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"kind": "view"}, "#/user_id"),
        ([{"user_id": 1, "kind": "view"}, {"user_id": 1}], "#/1/kind"),
        ({"user_id": "1", "kind": "view"}, "#/user_id"),
        ({"user_id": True, "kind": "view"}, "#/user_id"),
        ({"user_id": 1.5, "kind": "view"}, "#/user_id"),
        ({"user_id": 2**63, "kind": "view"}, "#/user_id"),
        ({"user_id": 10**400, "kind": "view"}, "#/user_id"),
        ({"user_id": 0, "kind": "view"}, "#/user_id"),
        ({"user_id": 1, "kind": ""}, "#/kind"),
        ({"user_id": 1, "kind": "k" * 65}, "#/kind"),
        ({"user_id": 1, "kind": "a\x00b"}, "#/kind"),
        ({"user_id": 1, "kind": "view", "at": "yesterday"}, "#/at"),
        ({"user_id": 1, "kind": "view", "at": "1899-12-31T23:59:59Z"}, "#/at"),
        ({"user_id": 1, "kind": "view", "at": "2200-01-01T00:00:00Z"}, "#/at"),
        ({"user_id": 1, "kind": "view", "at": "0001-01-01T00:00:00+14:00"}, "#/at"),
        ({"user_id": 1, "kind": "view", "at": "9999-12-31T23:59:59-14:00"}, "#/at"),
        ({"user_id": 1, "kind": "view", "at": 1e300}, "#/at"),
        ({"user_id": 1, "kind": "view", "id": 1}, "#/id"),
        ([], "#"),
        ([{"user_id": 1, "kind": "view"}] * 1001, "#"),
        (["view"], "#/0"),
        (7, "#"),
    ],
)
def test_create_events__refused(body, pointer):
    """422 that names the place, without a query."""
    with assert_queries():
        response = post(body)

    assert response.status_code == 422
    assert pointer in [error["pointer"] for error in response.json()["errors"]]


def test_list_events__filters():
    """Events of one user and one kind, with one query on their owner."""
    for user_id, kind in ((1, "view"), (1, "login"), (2, "view")):
        AnalyticsEvent.objects.create(user_id=user_id, kind=kind, at=NOON)

    with assert_queries(analytics=1):
        page = api_client().get("/api/events?user_id=1&kind=view").json()

    assert [(event["user_id"], event["kind"]) for event in page["items"]] == [(1, "view")]
    assert page["next"] is None


def test_delete_user__with_events():
    """The events stay until the worker runs, and then those of the deleted user are gone."""
    ada, bob = (User.objects.create(username=name) for name in ("ada", "bob"))
    AnalyticsEvent.objects.bulk_create([AnalyticsEvent(user=user, kind="view", at=NOON) for user in (ada, ada, bob)])

    assert api_client().delete(f"/api/users/{ada.pk}").status_code == 204
    assert len(api_client().get("/api/events").json()["items"]) == 3
    call_command("crossdb_worker", once=True, stdout=StringIO())

    assert [event["user_id"] for event in api_client().get("/api/events").json()["items"]] == [bob.pk]


def test_openapi__event():
    """The API shows the key of the user as a plain number, whatever the field of the model is."""
    schemas = api_client().get("/api/openapi.json").json()["components"]["schemas"]

    assert schemas["EventOut"]["properties"]["user_id"] == {"title": "User Id", "type": "integer"}


def test_list_active_users__some():
    """Users with events since then, once each, with one query on each alias, and without deleted users."""
    ada, grace, ken = [User.objects.create(username=name).pk for name in ("ada", "grace", "ken")]
    events = [(ken, NOON), (ada, NOON), (ada, NOON), (grace, NOON - dt.timedelta(seconds=1)), (ken + 1, NOON)]
    for user_id, at in events:
        AnalyticsEvent.objects.create(user_id=user_id, kind="view", at=at)

    with assert_queries(analytics=1, replica=1):
        page = api_client().get("/api/users/active?since=2026-01-02T12:00:00Z").json()

    assert [user["username"] for user in page["items"]] == ["ada", "ken"]
    assert page["next"] is None


def test_list_active_users__pages():
    """The pages that `next` leads to show every active user once."""
    keys = [User.objects.create(username=f"user{number}").pk for number in range(5)]
    for key in keys:
        AnalyticsEvent.objects.create(user_id=key, kind="view", at=NOON)

    seen, after = [], 0
    while after is not None:
        page = api_client().get("/api/users/active", {"since": "2026-01-01", "after": after, "limit": 2}).json()
        seen.append([user["id"] for user in page["items"]])
        after = page["next"]

    assert seen == [keys[:2], keys[2:4], keys[4:]]


@pytest.mark.parametrize("since", ["", "yesterday", "1800-01-01", "9999-12-31T23:59:59-23:59", "1" * 400])
def test_list_active_users__wrong_moment(since):
    """422, without a query."""
    with assert_queries():
        response = api_client().get(f"/api/users/active?since={quote(since)}")

    assert response.status_code == 422
