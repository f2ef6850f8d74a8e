"""Users over HTTP."""

import pytest
from tests.support.client import api_client

from accounts.models import User
from switchyard.testing import assert_queries

pytestmark = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)


def test_create_user__valid():
    """201 with the user and its location, after one statement on the owner."""
    with assert_queries(default=1):
        response = api_client().post(
            "/api/users", {"username": "ada", "email": "ada@EXAMPLE.com"}, content_type="application/json"
        )

    assert response.status_code == 201
    user = User.objects.get()
    assert response["Location"] == f"/api/users/{user.pk}"
    assert response.json() == {
        "id": user.pk,
        "username": "ada",
        "email": "ada@example.com",
        "first_name": "",
        "last_name": "",
        "is_active": True,
        "date_joined": user.date_joined.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def test_create_user__no_password():
    """A user created over the API cannot sign in."""
    api_client().post("/api/users", {"username": "ada"}, content_type="application/json")

    assert not User.objects.get().has_usable_password()


def test_create_user__username_taken():
    """409 as a problem that names the username."""
    User.objects.create(username="ada")

    response = api_client().post("/api/users", {"username": "ada"}, content_type="application/json")

    assert response.status_code == 409
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["detail"] == "The username 'ada' is taken. Choose another one."


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": ""},
        {"username": "a" * 151},
        {"username": "no spaces"},
        {"username": "ada\x00"},
        {"username": "\ufdfa" * 150},  # 18 characters each, once normalized
        {"username": None},
        {"username": 7},
        {"username": "ada", "email": "no address"},
        {"username": "ada", "email": f"{'a' * 250}@example.com"},
        {"username": "ada", "first_name": "a\x00"},
        {"username": "ada", "first_name": "a" * 151},
        {"username": "ada", "is_active": "yes"},
        {"username": "ada", "password": "secret"},
        {"username": "ada", "is_superuser": True},
        [],
        None,
    ],
)
def test_create_user__refused(body):
    """422 with the wrong fields, without a query."""
    with assert_queries():
        response = api_client().post("/api/users", body, content_type="application/json")

    assert response.status_code == 422
    assert response.json()["errors"]


def test_get_user__there():
    """One query, on the replica."""
    user = User.objects.create(username="ada")

    with assert_queries(replica=1):
        response = api_client().get(f"/api/users/{user.pk}")

    assert response.json()["username"] == "ada"


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_user__absent(method):
    """404 as a problem."""
    response = getattr(api_client(), method)("/api/users/7", content_type="application/json", data={})

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(("key", "status"), [("abc", 404), ("0", 422), ("9" * 19, 422), ("9" * 5000, 404), ("-1", 404)])
def test_get_user__no_key(key, status):
    """A value that is no 64-bit key is refused without a query."""
    with assert_queries():
        response = api_client().get(f"/api/users/{key}")

    assert response.status_code == status


def test_update_user__one_field():
    """The field in the request changes, the others stay; the owner is read and written."""
    user = User.objects.create(username="ada", first_name="Ada")

    with assert_queries(default=2):
        response = api_client().patch(
            f"/api/users/{user.pk}", {"last_name": "Lovelace"}, content_type="application/json"
        )

    assert response.status_code == 200
    assert response.json()["first_name"] == "Ada"
    assert User.objects.get().last_name == "Lovelace"


def test_update_user__nothing():
    """An empty patch returns the user and writes nothing."""
    user = User.objects.create(username="ada")

    with assert_queries(default=1):
        response = api_client().patch(f"/api/users/{user.pk}", {}, content_type="application/json")

    assert response.json()["username"] == "ada"


def test_update_user__invalid_value_in_another_field():
    """An invalid value in a field that the request does not hold is no error."""
    user = User.objects.create(username="of an older rule")

    response = api_client().patch(f"/api/users/{user.pk}", {"first_name": "Ada"}, content_type="application/json")

    assert response.status_code == 200


def test_update_user__null():
    """422: no field may be null."""
    user = User.objects.create(username="ada")

    response = api_client().patch(f"/api/users/{user.pk}", {"username": None}, content_type="application/json")

    assert response.status_code == 422


def test_update_user__username_taken():
    """409, and the row does not change."""
    User.objects.create(username="ada")
    user = User.objects.create(username="grace")

    response = api_client().patch(f"/api/users/{user.pk}", {"username": "ada"}, content_type="application/json")

    assert response.status_code == 409
    assert User.objects.get(pk=user.pk).username == "grace"


def test_delete_user__there():
    """204 without a body, and the user is deleted; all statements are on the owner."""
    user = User.objects.create(username="ada")

    with assert_queries(default=5):
        response = api_client().delete(f"/api/users/{user.pk}")

    assert (response.status_code, response.content) == (204, b"")
    assert not User.objects.exists()


def test_list_users__pages():
    """The pages that `next` leads to show every user once, in the order of their keys, with one query each."""
    keys = [User.objects.create(username=f"user{number}").pk for number in range(5)]

    seen, after = [], 0
    while after is not None:
        with assert_queries(replica=1):
            page = api_client().get("/api/users", {"after": after, "limit": 2}).json()
        seen.append([user["id"] for user in page["items"]])
        after = page["next"]

    assert seen == [keys[:2], keys[2:4], keys[4:]]


def test_list_users__last_page_is_full():
    """`next` is null when no page follows, even if the page is full."""
    User.objects.create(username="ada")

    assert api_client().get("/api/users?limit=1").json()["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after=-1", f"after={2**63}", "after=1e400"])
def test_list_users__wrong_page(query):
    """422, without a query."""
    with assert_queries():
        response = api_client().get(f"/api/users?{query}")

    assert response.status_code == 422
