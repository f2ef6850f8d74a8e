"""Django REST framework: serializers, tokens and permissions."""

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from project.shop.models import Item


@pytest.fixture
def author(request: pytest.FixtureRequest) -> User:
    """A user who may add, change and delete items."""
    user = User.objects.create_user(request.node.name[:150])
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="shop", content_type__model="item"))
    return user


def client_of(user: User) -> APIClient:
    """Return a client that sends the user's token."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.get_or_create(user=user)[0]}")
    return client


def test_serializer_save__with_request_user(author, others, replay_paused):
    """A serializer saves the user of the request as author, and the client sees its item at once."""
    with others():
        client = client_of(author)
    with replay_paused():
        created = client.post("/api/items/", {"name": "lamp"})
        seen = client.get("/api/items/?name=lamp")

    assert created.status_code == 201, created.content
    assert [each["id"] for each in seen.json()] == [created.json()["id"]]
    assert Item.objects.using("default").get(pk=created.json()["id"]).author == author


def test_serializer_update__of_an_item_behind(author, others, replay_paused):
    """A PATCH changes the newest row, though the standby does not show the row."""
    with others():
        client = client_of(author)
    with replay_paused():
        with others():
            item = Item.objects.create(name="new")
        changed = client.patch(f"/api/items/{item.pk}/", {"name": "changed"})
        shown = client.get(f"/api/items/{item.pk}/")
        deleted = client.delete(f"/api/items/{item.pk}/")
        gone = client.get(f"/api/items/{item.pk}/")

    assert [each.status_code for each in (changed, shown, deleted, gone)] == [200, 200, 204, 404]
    assert shown.json()["name"] == "changed"


def test_token__made_by_somebody_else(author, others, replay_paused):
    """A token signs in as soon as it was made, whoever made it."""
    with replay_paused():
        with others():
            client = client_of(author)

        assert client.get("/api/items/").status_code == 200


def test_permission__given_by_somebody_else(others, replay_paused):
    """A permission counts as soon as it was given."""
    with others():
        user = User.objects.create_user("without permissions")
        client = client_of(user)
    with replay_paused():
        refused = client.post("/api/items/", {"name": "refused"})
        with others():
            user.user_permissions.add(Permission.objects.get(codename="add_item"))
        allowed = client.post("/api/items/", {"name": "allowed"})

    assert (refused.status_code, allowed.status_code) == (403, 201)
