"""Cases 7, 8 and 9: validation, sessions and the editing of rows, while every replica is held back.

The clients have no required positions: other clients wrote the rows that they must see.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import caches
from django.core.exceptions import ValidationError
from django.forms import modelform_factory
from django.test import override_settings
from tests.support.servers import Servers
from tests.support.watching import NEW, NOON, OLD, Edge, Side, others

from accounts.models import User
from legacy.models import Customer, Order
from switchyard.routing.session.context import activate, request_context
from switchyard.routing.topology.ownership import owner_of_app
from switchyard.testing import assert_queries

pytestmark = pytest.mark.docker

CHILDREN = {"default": (LogEntry, "user", {"action_flag": 1}), "legacy": (Order, "customer", {"total_cents": 5})}


@contextmanager
def all_held_back(servers: Servers) -> Iterator[None]:
    """Let no replica replay anything."""
    with ExitStack() as stack:
        for alias in ("replica", "legacyreplica"):
            stack.enter_context(servers.held_back(alias))
        yield


def other_client(user: User | None = None) -> Edge:
    """Return a client without required positions, signed in if a user is given."""
    edge = Edge()
    if user is not None:
        edge.sign_in(user)
    return edge


def test_case_7__unique(watched: Servers) -> None:
    """full_clean() finds a row that only the owner has in a request that may write, and not in a request that reads."""
    with watched.held_back():
        with others():
            User.objects.create(username="ada", password="!")
        with activate(request_context(unsafe_method=True)), pytest.raises(ValidationError, match="already exists"):
            User(username="ada", password="!").full_clean()
        with activate(request_context()):
            User(username="ada", password="!").full_clean()


def test_case_7__choices(watched: Servers, side: Side) -> None:
    """The choices of a form and the validation of a foreign key also find such rows, on both vendors."""
    model, field, values = CHILDREN[side.owner]
    with all_held_back(watched):
        with others():
            parent = side.create("ada")
        with activate(request_context(unsafe_method=True)), assert_queries(**{side.owner: 2}):
            form = modelform_factory(model, fields=[field])({field: parent.pk})
            chosen = form.fields[field].clean(parent.pk)
            model(**{f"{field}_id": parent.pk}, **values).clean_fields(
                exclude=["placed_at", "object_repr", "object_id"]
            )

    assert chosen == parent


def test_case_7__unique_over_http(watched: Servers, admin: Edge) -> None:
    """A name that another client has just taken is an error of the form, not of the database."""
    with watched.held_back():
        with others():
            User.objects.create(username="ada")
        response = admin.post(
            "/admin/accounts/user/add/",
            {"username": "ada", "password1": "s3cr3t-word", "password2": "s3cr3t-word", "usable_password": "true"},
        )

    assert response.status_code == 200
    assert "already exists" in response.text


@override_settings(LEGACY_WRITABLE=True)
def test_case_7__choice_over_http(watched: Servers, admin: Edge) -> None:
    """A customer that was created a moment ago can be chosen for an order, on MySQL."""
    with all_held_back(watched):
        with others():
            customer = Customer.objects.create(name="Ada", email=OLD, created_at=NOON)
        order = {"customer": customer.pk, "placed_at_0": "2026-01-02", "placed_at_1": "12:00:00", "total_cents": 5}
        response = admin.post("/admin/legacy/order/add/", order)

    assert (response.status_code, response.headers["Location"]) == (302, "/admin/legacy/order/")
    assert Order.objects.using("legacy").get().customer_id == customer.pk


def test_case_7__taken_name_over_the_api(watched: Servers) -> None:
    """The API finds the conflict too: the row with the name is locked and compared on the owner."""
    with watched.held_back():
        with others():
            User.objects.create(username="ada")
            bob = User.objects.create(username="bob")
        taken = other_client().patch(f"/api/users/{bob.pk}", {"username": "ada"}, content_type="application/json")
        renamed = other_client().patch(f"/api/users/{bob.pk}", {"email": NEW}, content_type="application/json")

    assert (taken.status_code, renamed.status_code) == (409, 200)
    assert renamed.json()["email"] == NEW


def test_case_8__rows_that_are_never_stale(watched: Servers) -> None:
    """Sessions, permissions, groups and content types are read from the owner, whatever the standby has."""
    with watched.held_back():
        with others():
            session = SessionStore()
            session["user"] = 1
            session.save()
            Group.objects.create(name="staff")

        assert SessionStore(session.session_key)["user"] == 1
        assert Group.objects.get(name="staff")._state.db == "default"
        with assert_queries(default=2):
            Permission.objects.first()
            ContentType.objects.first()


def test_case_8__sign_in(watched: Servers) -> None:
    """A user that was created a moment ago can sign in, and stays signed in without the token of the response."""
    edge = other_client()
    with watched.held_back():
        with others():
            User.objects.create_superuser("root", "root@example.org", "pw")
        response = edge.post("/admin/login/?next=/admin/", {"username": "root", "password": "pw"})
        for name in edge.tokens():
            del edge.cookies[name]
        page = edge.get("/admin/")

    assert (response.status_code, response.headers["Location"]) == (302, "/admin/")
    assert page.status_code == 200
    assert "root" in page.text


def test_case_8__new_password(watched: Servers, admin: Edge) -> None:
    """A password that was changed elsewhere ends the session at once."""
    with watched.held_back():
        before = admin.get("/admin/").status_code
        with others():
            root = User.objects.using("default").get(username="root")
            root.set_password("another")
            root.save()
        after = admin.get("/admin/")

    assert (before, after.status_code) == (200, 302)
    assert after.headers["Location"].startswith("/admin/login/")


def test_case_8__permission(watched: Servers) -> None:
    """A permission counts from the moment of its grant to the moment of its removal."""
    with others():
        user = User.objects.create_user("ada", OLD, "pw", is_staff=True)
    watched.caught_up()
    edge = other_client(user)
    view = Permission.objects.get(codename="view_user")
    statuses = [edge.get("/admin/accounts/user/").status_code]
    with watched.held_back():
        for change in (user.user_permissions.add, user.user_permissions.remove):
            with others():
                change(view)
            statuses.append(edge.get("/admin/accounts/user/").status_code)

    assert statuses == [403, 200, 403]


def test_case_8__content_type(watched: Servers) -> None:
    """A content type that was created a moment ago is found, and not created again."""
    with watched.held_back():
        with others():
            made = ContentType.objects.create(app_label="accounts", model="ghost")
        try:
            ContentType.objects.clear_cache()
            assert ContentType.objects.get_by_natural_key("accounts", "ghost") == made
        finally:
            made.delete()
            ContentType.objects.clear_cache()


def test_case_8__database_cache(watched: Servers) -> None:
    """An entry that one client of the database cache stored is found by every other client."""
    settings.SWITCHYARD["OWNERS"]["django_cache"] = "default"
    owner_of_app.cache_clear()
    watched.ask(
        "default",
        "CREATE TABLE cached (cache_key varchar(255) PRIMARY KEY, value text NOT NULL, expires timestamptz NOT NULL)",
        "GRANT ALL ON cached TO app",
    )
    watched.caught_up()
    backend = {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cached"}
    try:
        with watched.held_back(), override_settings(CACHES={"default": backend}):
            with others():
                caches["default"].set("key", "value")
            with assert_queries(default=1):
                found = caches["default"].get("key")
    finally:
        watched.ask("default", "DROP TABLE cached")

    assert found == "value"


@override_settings(LEGACY_WRITABLE=True)
def test_case_9__change_form(watched: Servers, side: Side, admin: Edge, ada: Any) -> None:
    """The change form of a row shows the owner's row; the list, which nobody edits, may be late."""
    with all_held_back(watched):
        with others():
            side.on_owner().filter(pk=ada.pk).update(email=NEW)
        form = admin.get(f"{side.admin}{ada.pk}/change/").text
        listed = admin.get(side.admin).text

    assert (NEW in form, OLD in form) == (True, False)
    assert (NEW in listed, OLD in listed) == (False, True)


@pytest.fixture
def edited_in_place(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """The admin's list shows the emails as form fields."""
    monkeypatch.setattr(site.get_model_admin(side.model), "list_editable", ("email",))


@override_settings(LEGACY_WRITABLE=True)
@pytest.mark.usefixtures("edited_in_place")
def test_case_9__list_edited_in_place(watched: Servers, side: Side, admin: Edge, ada: Any) -> None:
    """A list whose rows are edited in place shows the owner's rows."""
    with all_held_back(watched):
        with others():
            side.on_owner().filter(pk=ada.pk).update(email=NEW)
        form = admin.get(side.admin).text

    assert (f'value="{NEW}"' in form, OLD in form) == (True, False)


@override_settings(LEGACY_WRITABLE=True)
@pytest.mark.usefixtures("edited_in_place")
def test_case_9__list_stored(watched: Servers, side: Side, admin: Edge, ada: Any) -> None:
    """A save from the list changes the newest rows of the owner, and only the edited fields."""
    with all_held_back(watched):
        forms = admin.get(side.admin).context["cl"].formset.forms
        with others():
            side.on_owner().filter(pk=ada.pk).update(**{side.key: "adam"})
        answers = {field.html_name: field.value() for form in forms for field in form}
        changed = next(form["email"].html_name for form in forms if form.instance.pk == ada.pk)
        sizes = {"form-TOTAL_FORMS": len(forms), "form-INITIAL_FORMS": len(forms)}
        response = admin.post(side.admin, {**sizes, **answers, changed: NEW, "_save": "Save"})

    assert (response.status_code, response.headers["Location"]) == (302, side.admin)
    assert side.on_owner().filter(pk=ada.pk).values_list(side.key, "email").get() == ("adam", NEW)
