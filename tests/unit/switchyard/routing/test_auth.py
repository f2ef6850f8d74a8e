"""Who someone is and what they may do is read from the owner."""

import pytest
from django.contrib.auth import authenticate, get_user
from django.contrib.auth.models import Group, Permission
from django.http import HttpRequest
from django.test import Client, override_settings

from accounts.models import User
from switchyard.testing import assert_queries

pytestmark = pytest.mark.django_db(databases=["default", "replica"], transaction=True)


def test_primary_model_backend__signing_in() -> None:
    """`authenticate` asks the owner only, though User is read from the replica otherwise."""
    User.objects.create_user("a", password="right")

    with assert_queries(default=1):
        user = authenticate(username="a", password="right")

    assert user is not None
    assert user._state.db == "default"
    assert User.objects.get()._state.db == "replica"


@override_settings(SECRET_KEY="only-for-tests")  # a session is signed
def test_primary_model_backend__a_signed_in_request() -> None:
    """Session and user are read from the owner."""
    client = Client()
    client.force_login(User.objects.create_user("a"))
    request = HttpRequest()
    request.session = client.session

    with assert_queries(default=2):
        user = get_user(request)

    assert user._state.db == "default"


def test_primary_model_backend__permissions() -> None:
    """Own and group permissions of a user are read from the owner, wherever the user was loaded from."""
    permission = Permission.objects.get(codename="change_user")
    group = Group.objects.create(name="editors")
    group.permissions.add(permission)
    User.objects.create_user("a").groups.add(group)
    user = User.objects.get()
    assert user._state.db == "replica"

    with assert_queries(default=2):
        assert user.has_perm("accounts.change_user")
