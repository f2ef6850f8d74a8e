"""Events in the admin."""

import re
from contextlib import ExitStack
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.db import connections
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from analytics.models import AnalyticsEvent
from config.settings import SWITCHYARD

pytestmark = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)

PATH = "/admin/analytics/analyticsevent/"
NOON = "2026-01-02T12:00:00Z"


@pytest.fixture
def admin() -> User:
    """The superuser who is signed in."""
    return User.objects.create_superuser("admin")


@pytest.fixture
def staff(admin: User) -> Client:
    """The client of the superuser."""
    client = Client()
    client.force_login(admin)
    return client


def test_event__added_changed_and_deleted(staff: Client, admin: User) -> None:
    """The admin may write its log, on the owner of the users, in the transaction of the event."""
    row = {"user": admin.pk, "kind": "a", "at_0": "2026-01-02", "at_1": "12:00:00"}
    with override_settings(SWITCHYARD={**SWITCHYARD, "POLICIES": {"cross_owner_transaction": "raise"}}):
        staff.post(f"{PATH}add/", row, secure=True)
        event = AnalyticsEvent.objects.get()
        staff.post(f"{PATH}{event.pk}/change/", {**row, "kind": "b"}, secure=True)
        staff.post(f"{PATH}{event.pk}/delete/", {"post": "yes"}, secure=True)

    assert not AnalyticsEvent.objects.exists()
    assert sorted(LogEntry.objects.values_list("action_flag", flat=True)) == [1, 2, 3]


def test_event__of_an_unknown_user(staff: Client) -> None:
    """The form refuses a key that no user has, and stores nothing."""
    row = {"user": 404, "kind": "a", "at_0": "2026-01-02", "at_1": "12:00:00"}

    page = staff.post(f"{PATH}add/", row, secure=True).content.decode()

    assert "That choice is not one of the available choices." in page
    assert not AnalyticsEvent.objects.exists()


def test_event__links_to_its_user(staff: Client, admin: User) -> None:
    """The page of an event has the user's key and a link with the username, and no list of all users."""
    event = AnalyticsEvent.objects.create(user=admin, kind="a", at=NOON)

    page = staff.get(f"{PATH}{event.pk}/change/", secure=True).content.decode()

    assert f'<a href="/admin/accounts/user/{admin.pk}/change/">admin</a>' in page
    assert "<select" not in page.partition("field-user")[2].partition("field-kind")[0]


def test_list__queries(staff: Client, admin: User) -> None:
    """The list shows usernames, read together for all events; a deleted user is a dash."""
    users = [admin, *(User.objects.create(username=f"user{number}") for number in range(4))]

    def page() -> tuple[list[str], dict[str, int]]:
        with ExitStack() as stack:
            seen = {
                alias: stack.enter_context(CaptureQueriesContext(connections[alias]))
                for alias in ("default", "replica", "analytics")
            }
            text = staff.get(PATH, secure=True).content.decode()
        return re.findall(r'field-user[^>]*">([^<]+)<', text), {alias: len(each) for alias, each in seen.items()}

    AnalyticsEvent.objects.create(user=admin, kind="a", at=NOON)
    _, few = page()
    AnalyticsEvent.objects.bulk_create([AnalyticsEvent(user=user, kind="b", at=NOON) for user in users])
    users[-1].delete()
    shown, many = page()

    assert shown == ["-", "user2", "user1", "user0", "admin", "admin"]
    assert many == few


@pytest.mark.parametrize("sought", ["user", "kind"])
def test_list__search(sought: str, staff: Client, admin: User) -> None:
    """Events are found by the key of their user, and by their kind."""
    for user_id, kind in ((admin.pk, "login"), (admin.pk + 1, "view")):
        AnalyticsEvent.objects.create(user_id=user_id, kind=kind, at=NOON)

    page = staff.get(PATH, {"q": {"user": admin.pk, "kind": "login"}[sought]}, secure=True).content.decode()

    assert re.findall(r'field-kind">(\w+)<', page) == ["login"]


def deleted_by_worker() -> Any:
    """Run the worker once, and return the keys of the users who still have events."""
    call_command("crossdb_worker", once=True, stdout=StringIO())
    return set(AnalyticsEvent.objects.values_list("user_id", flat=True))


def test_user__deleted_in_the_admin(staff: Client, admin: User) -> None:
    """The events of a user whom the admin deletes are deleted by the worker, and no other events."""
    gone = User.objects.create(username="gone")
    AnalyticsEvent.objects.bulk_create([AnalyticsEvent(user=user, kind="a", at=NOON) for user in (admin, gone, gone)])

    staff.post(f"/admin/accounts/user/{gone.pk}/delete/", {"post": "yes"}, secure=True)

    assert AnalyticsEvent.objects.count() == 3
    assert deleted_by_worker() == {admin.pk}


def test_users__deleted_by_the_action(staff: Client, admin: User) -> None:
    """The events of all users whom the list's action deletes are deleted by the worker."""
    gone = [User.objects.create(username=name) for name in ("ada", "bob")]
    AnalyticsEvent.objects.bulk_create([AnalyticsEvent(user=user, kind="a", at=NOON) for user in (admin, *gone)])

    body = {"action": "delete_selected", "_selected_action": [user.pk for user in gone], "post": "yes"}
    staff.post("/admin/accounts/user/", body, secure=True)

    assert deleted_by_worker() == {admin.pk}
