"""Django's admin shows, filters and edits references as it does foreign keys."""

import re
from contextlib import ExitStack
from typing import Any
from weakref import WeakSet

import pytest
from django.contrib import admin
from django.contrib.admin import sites
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin
from django.core.checks import run_checks
from django.db import connections
from django.db.models import F, Model, Prefetch
from django.test import Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path
from tests.support.referring import Book

from accounts.models import User
from analytics.models import AnalyticsEvent
from config.settings import SWITCHYARD
from switchyard.crossdb import CrossDatabaseJoinError
from switchyard.crossdb.references.contrib.admin_options import check_admin_options
from switchyard.testing import assert_queries

pytestmark = [
    pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True),
    pytest.mark.urls(__name__),
]

ALIASES = ("default", "replica", "analytics")
NOON = "2026-01-02T12:00:00Z"


class EventInline(admin.TabularInline):  # type: ignore[type-arg]
    """The children in the page of their parent."""

    model = AnalyticsEvent
    extra = 1


class EventAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Every option that names a relation."""

    list_display = ("kind", "user")
    list_filter = ("user", ("user", admin.RelatedOnlyFieldListFilter))
    search_fields = ("=user_id", "=user__pk")


class RawEventAdmin(EventAdmin):
    """The parent by its key."""

    raw_id_fields = ("user",)


class AutocompleteEventAdmin(EventAdmin):
    """The parent by a search."""

    autocomplete_fields = ("user",)


class ParentAdmin(UserAdmin):
    """Users with their events."""

    inlines = (EventInline,)


def _site(name: str, events: type) -> admin.AdminSite:
    site = admin.AdminSite(name)
    site.register(AnalyticsEvent, events)
    site.register(User, ParentAdmin)
    return site


SITES = {
    "plain": _site("plain", EventAdmin),
    "raw": _site("raw", RawEventAdmin),
    "autocomplete": _site("autocomplete", AutocompleteEventAdmin),
}
urlpatterns = [path(f"{name}/", site.urls) for name, site in SITES.items()]
LIST = "analytics/analyticsevent/"


@pytest.fixture
def users() -> list[User]:
    """Two users with an event each, and a third without one."""
    users = [User.objects.create(username=name) for name in ("ada", "bob", "eve")]
    for user in users[:2]:
        AnalyticsEvent.objects.create(user=user, kind=f"of {user.username}", at=NOON)
    return users


@pytest.fixture
def staff(users: list[User]) -> Client:
    """The client of a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def shown(staff: Client, path: str, **query: Any) -> str:
    """Return the text of a page that is shown."""
    response = staff.get(f"/{path}", query, secure=True)
    assert response.status_code == 200, (response.status_code, response.headers)
    return response.content.decode()


def kinds(page: str) -> list[str]:
    """Return the kinds of the events in a list."""
    return re.findall(r'change/[^"]*">(of \w+)</a>', page)


def test_list__shows_the_parent(staff: Client) -> None:
    """The column of the reference shows the text of each parent."""
    page = shown(staff, f"plain/{LIST}")

    assert re.findall(r'field-user[^>]*">(\w+)<', page) == ["bob", "ada"]


def test_list__of_a_deleted_parent(staff: Client, users: list[User]) -> None:
    """An event whose user is gone is listed, with a dash for the user."""
    users[0].delete()

    assert re.findall(r'field-user[^>]*">([^<]+)<', shown(staff, f"plain/{LIST}")) == ["bob", "-"]


def test_list__filter(staff: Client, users: list[User]) -> None:
    """The filter by the reference names the parents, and shows the children of one."""
    page = shown(staff, f"plain/{LIST}")

    assert re.findall(r"\?user__id__exact=(\d+)", page)[:3] == [str(user.pk) for user in users]
    assert kinds(shown(staff, f"plain/{LIST}", user__id__exact=users[0].pk)) == ["of ada"]


def test_list__filter_of_related_parents(staff: Client, users: list[User]) -> None:
    """The filter that leaves out parents without children leaves out those, in both databases."""
    page = shown(staff, f"plain/{LIST}")
    links = re.findall(r"\?user__id__exact=(\d+)", page)

    assert links.count(str(users[2].pk)) == 1  # in the first filter only
    assert links.count(str(users[0].pk)) == 2


@pytest.mark.parametrize("site", ["plain", "raw", "autocomplete"])
def test_list__search_by_key(site: str, staff: Client, users: list[User]) -> None:
    """A search finds the children by the key of the parent."""
    assert kinds(shown(staff, f"{site}/{LIST}", q=users[1].pk)) == ["of bob"]


def test_list__search_by_a_column_of_the_parent(
    staff: Client, users: list[User], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search raises the error that names what to write."""
    monkeypatch.setattr(EventAdmin, "search_fields", ("user__username",))

    with pytest.raises(CrossDatabaseJoinError, match="user__in=User"):
        staff.get(f"/plain/{LIST}", {"q": "ada"}, secure=True)


def test_form__of_choices(staff: Client, users: list[User]) -> None:
    """The form offers all parents."""
    page = shown(staff, f"plain/{LIST}add/")

    assert re.findall(r'<option value="\d+">(\w+)</option>', page) == ["ada", "bob", "eve", "root"]


def test_form__of_raw_keys(staff: Client, users: list[User]) -> None:
    """The form shows the key, and a link to the parent with its text."""
    event = AnalyticsEvent.objects.get(user=users[0])
    page = shown(staff, f"raw/{LIST}{event.pk}/change/")

    assert f'<strong><a href="/raw/accounts/user/{users[0].pk}/change/">ada</a></strong>' in page
    assert f'value="{users[0].pk}"' in page


def test_form__of_raw_keys_without_a_parent(staff: Client, users: list[User]) -> None:
    """The page of a child whose parent is gone is shown, without the link."""
    event = AnalyticsEvent.objects.get(user=users[0])
    users[0].delete()

    assert "<strong><a" not in shown(staff, f"raw/{LIST}{event.pk}/change/")


def test_form__of_autocompletion(staff: Client, users: list[User]) -> None:
    """The form has the text of the parent, and the search for others asks where users are read."""
    event = AnalyticsEvent.objects.get(user=users[0])

    assert f'<option value="{users[0].pk}" selected>ada</option>' in shown(
        staff, f"autocomplete/{LIST}{event.pk}/change/"
    )
    wanted = {"app_label": "analytics", "model_name": "analyticsevent", "field_name": "user", "term": "ev"}
    found = staff.get("/autocomplete/autocomplete/", wanted, secure=True).json()
    assert found["results"] == [{"id": str(users[2].pk), "text": "eve"}]


@pytest.mark.parametrize("site", ["plain", "raw", "autocomplete"])
def test_form__saved(site: str, staff: Client, users: list[User]) -> None:
    """A change of the parent is stored, and the log and the history name the field."""
    event = AnalyticsEvent.objects.get(user=users[0])
    body = {"user": users[1].pk, "kind": event.kind, "at_0": "2026-01-02", "at_1": "12:00:00"}

    response = staff.post(f"/{site}/{LIST}{event.pk}/change/", body, secure=True)

    assert response.status_code == 302
    assert AnalyticsEvent.objects.get(pk=event.pk).user == users[1]
    assert (
        str(LogEntry.objects.get()) == f"Changed “of ada by user {users[1].pk} at 2026-01-02 12:00:00” — Changed User."
    )
    assert "Changed User." in shown(staff, f"{site}/{LIST}{event.pk}/history/")


def test_form__missing_parent(staff: Client) -> None:
    """A key without a row is refused beside the field, and nothing is stored."""
    body = {"user": 404, "kind": "new", "at_0": "2026-01-02", "at_1": "12:00:00"}

    response = staff.post(f"/raw/{LIST}add/", body, secure=True)

    assert "Select a valid choice. That choice is not one of the available choices." in response.content.decode()
    assert AnalyticsEvent.objects.count() == 2


def test_parent__confirmation_of_its_deletion(staff: Client, users: list[User]) -> None:
    """The page reads no child: the worker reaches them later. Afterwards the children are still there."""
    address = f"/plain/accounts/user/{users[0].pk}/delete/"
    assert "Are you sure" in shown(staff, address.lstrip("/"))

    response = staff.post(address, {"post": "yes"}, secure=True)

    assert response.status_code == 302
    assert not User.objects.filter(username="ada").exists()
    assert AnalyticsEvent.objects.filter(user_id=users[0].pk).exists()


def test_parent__inline_of_its_children(staff: Client, users: list[User]) -> None:
    """The page of a parent lists its children."""
    page = shown(staff, f"plain/accounts/user/{users[0].pk}/change/")

    assert 'name="analyticsevent_set-0-kind" value="of ada"' in page
    assert "of bob" not in page


def test_parent__inline_saved(staff: Client, users: list[User]) -> None:
    """Children are changed, added and deleted in the page of the parent, beside the transaction of the parent."""
    ada, event = users[0], AnalyticsEvent.objects.get(user=users[0])
    gone = AnalyticsEvent.objects.create(user=ada, kind="gone", at=NOON)
    moment = {"at_0": "2026-01-02", "at_1": "12:00:00"}
    children: list[dict[str, Any]] = [
        {"id": event.pk, "user": ada.pk, "kind": "changed", **moment},
        {"id": gone.pk, "user": ada.pk, "kind": "gone", "DELETE": "on", **moment},
        {"id": "", "user": ada.pk, "kind": "new", **moment},
    ]
    body = {f"analyticsevent_set-{at}-{key}": text for at, child in enumerate(children) for key, text in child.items()}
    body |= {"analyticsevent_set-TOTAL_FORMS": 3, "analyticsevent_set-INITIAL_FORMS": 2}
    body |= {"username": "ada", "date_joined_0": "2026-01-02", "date_joined_1": "12:00:00"}

    with override_settings(SWITCHYARD={**SWITCHYARD, "POLICIES": {"cross_owner_transaction": "allow"}}):
        response = staff.post(f"/plain/accounts/user/{ada.pk}/change/", body, secure=True)

    assert response.status_code == 302, re.findall(r"errorlist.*", response.content.decode())
    assert sorted(ada.analyticsevent_set.values_list("kind", flat=True)) == ["changed", "new"]


def test_list__queries(staff: Client, users: list[User]) -> None:
    """A page of the list reads all parents together: more children of more parents send no more queries."""

    def queries() -> int:
        with ExitStack() as stack:
            seen = [stack.enter_context(CaptureQueriesContext(connections[alias])) for alias in ALIASES]
            shown(staff, f"plain/{LIST}")
        return sum(map(len, seen))

    few = queries()
    for user in User.objects.all():
        AnalyticsEvent.objects.create(user=user, kind="more", at=NOON)

    assert queries() == few


def test_list__ordered_by_the_reference(rows: dict[str, Any]) -> None:
    """A click on the column orders the children by their key, though the parents have an order of their own."""
    books: Any = type("BookAdmin", (admin.ModelAdmin,), {"list_display": ("title", "author", "editor")})
    request = RequestFactory().get("/", {"o": "-2.1"})
    request.user = User(is_superuser=True)

    changes = books(Book, SITES["plain"]).get_changelist_instance(request)

    with assert_queries(analytics=1, replica=2):
        assert [(book.title, book.author.name) for book in changes.queryset] == [
            ("Logic", "bob"),
            *((title, "ada") for title in ("Engine", "Letters", "Notes")),
        ]


def test_list__with_a_prefetch_of_the_program(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queryset that prefetches the parents itself is left as it is."""
    names = Prefetch("user", User.objects.only("username"))
    monkeypatch.setattr(EventAdmin, "get_queryset", lambda *_: AnalyticsEvent.objects.prefetch_related(names))

    assert re.findall(r'field-user[^>]*">(\w+)<', shown(staff, f"plain/{LIST}")) == ["bob", "ada"]


@pytest.fixture
def no_sites(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the checks see the sites that the test makes, and no other test see these."""
    monkeypatch.setattr(sites, "all_sites", WeakSet())


def checked(model: type[Model], options: dict[str, Any]) -> admin.AdminSite:
    """Return a site with an admin of the model that has these options."""
    site = admin.AdminSite("checked")
    site.register(model, type("Checked", (admin.ModelAdmin,), options))
    return site


# Options of an admin, and what the error names; None where the option is right.
OPTIONS: list[tuple[type[Model], dict[str, Any], str | None]] = [
    (AnalyticsEvent, {"search_fields": ("user__username",)}, "search_fields of Checked names 'user__username'"),
    (AnalyticsEvent, {"search_fields": ("^user__email",)}, "names 'user__email'"),
    (AnalyticsEvent, {"search_fields": ("user__groups__name",)}, "names 'user__groups__name'"),
    (AnalyticsEvent, {"list_filter": ("user__is_active",)}, "list_filter of Checked names 'user__is_active'"),
    (AnalyticsEvent, {"list_filter": (("user__is_staff", admin.BooleanFieldListFilter),)}, "names 'user__is_staff'"),
    (AnalyticsEvent, {"ordering": ("-user__username",)}, "ordering of Checked names 'user__username'"),
    (AnalyticsEvent, {"date_hierarchy": "user__date_joined"}, "date_hierarchy of Checked names 'user__date_joined'"),
    (AnalyticsEvent, {"list_select_related": ("user",)}, "list_select_related of Checked names 'user'"),
    (User, {"search_fields": ("analyticsevent__kind",)}, "names 'analyticsevent__kind'"),
    (User, {"list_filter": ("analyticsevent__kind",)}, "names 'analyticsevent__kind'"),
    (AnalyticsEvent, {"search_fields": ("=user_id", "user__pk__exact", "=user__id", "=user", "kind")}, None),
    (AnalyticsEvent, {"list_filter": ("user", ("user", admin.RelatedOnlyFieldListFilter), "kind")}, None),
    (AnalyticsEvent, {"list_filter": (admin.SimpleListFilter,), "ordering": ("user_id", F("user").desc())}, None),
    (AnalyticsEvent, {"list_select_related": (), "date_hierarchy": "at"}, None),
    (LogEntry, {"search_fields": ("user__username",), "list_select_related": ("user",)}, None),
    (LogEntry, {"search_fields": ("nothing__at_all",)}, None),
]


@pytest.mark.parametrize(("model", "options", "named"), OPTIONS)
@pytest.mark.usefixtures("no_sites")
def test_check__options(model: type[Model], options: dict[str, Any], named: str | None) -> None:
    """Each option that would join the databases has an error with its remedy, and no other option has one."""
    site = checked(model, options)

    found = check_admin_options()

    assert site in sites.all_sites

    assert [error.id for error in found] == ([] if named is None else ["switchyard.E023"])
    assert named is None or named in found[0].msg


@pytest.mark.usefixtures("no_sites")
def test_check__is_registered() -> None:
    """`manage.py check` runs it, over all sites, and names the reference and the remedy."""
    site = checked(AnalyticsEvent, {"search_fields": ("user__username",)})

    assert site in sites.all_sites
    (found,) = (error for error in run_checks(tags=["admin"]) if error.id == "switchyard.E023")

    assert found.msg == (
        "search_fields of Checked names 'user__username', and analytics.AnalyticsEvent.user leads to another"
        " database, with which no query can join."
    )
    assert found.hint == "Search by '=user_id', or filter by parents in its get_search_results()."


HINTS = {
    "search_fields": (("user__email",), "Search by '=user_id'"),
    "list_filter": (("user__email",), "Filter by 'user', or by parents in a SimpleListFilter"),
    "ordering": (("user__email",), "Use 'user_id'"),
    "date_hierarchy": ("user__date_joined", "Use 'user_id'"),
    "list_select_related": (("user",), "Use prefetch_related()"),
}


@pytest.mark.usefixtures("no_sites")
@pytest.mark.parametrize("option", HINTS)
def test_check__hints(option: str) -> None:
    """Each kind of option has a remedy of its own."""
    value, remedy = HINTS[option]
    site = checked(AnalyticsEvent, {option: value})

    (error,) = check_admin_options()
    assert site in sites.all_sites
    assert remedy in (error.hint or "")
