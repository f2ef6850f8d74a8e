"""Users and their permissions are read from the owner."""

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group, Permission

from accounts.models import User
from switchyard.routing.contrib.auth import PrimaryModelBackend
from switchyard.testing import assert_queries

pytestmark = pytest.mark.django_db(databases=["default", "replica"], transaction=True)


def test_primary_model_backend__signing_in() -> None:
    """`authenticate()` queries only the owner; other reads of User go to the replica."""
    User.objects.create_user("a", password="right")

    with assert_queries(default=1):
        user = authenticate(username="a", password="right")

    assert user is not None
    assert user._state.db == "default"
    assert User.objects.get()._state.db == "replica"


def test_primary_model_backend__the_user_of_a_session() -> None:
    """The user of a session is read from the owner."""
    user = User.objects.create_user("a")

    with assert_queries(default=1):
        found = PrimaryModelBackend().get_user(user.pk)

    assert found == user


def test_primary_model_backend__permissions() -> None:
    """Permissions of a user and of its groups are read from the owner, also for a user from the replica."""
    permission = Permission.objects.get(codename="change_user")
    group = Group.objects.create(name="editors")
    group.permissions.add(permission)
    User.objects.create_user("a").groups.add(group)
    user = User.objects.get()
    assert user._state.db == "replica"

    with assert_queries(default=2):
        assert user.has_perm("accounts.change_user")
