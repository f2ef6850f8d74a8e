"""django-guardian: permissions of single objects."""

from django.contrib.auth.models import Group, User
from guardian.shortcuts import assign_perm, get_objects_for_user, get_perms, get_users_with_perms, remove_perm

from project.shop.models import Item


def test_permission__of_an_object_from_the_replica(others, replay_paused):
    """A permission on an object from the standby is given, counts at once, and is taken back."""
    with others():
        User.objects.create_user("guarded")
        Item.objects.create(name="guarded")
    with replay_paused():
        user, item = User.objects.get(username="guarded"), Item.objects.get(name="guarded")
        before = item._state.db
        assign_perm("change_item", user, item)
        given = user.has_perm("change_item", item)
        allowed = list(get_objects_for_user(user, "shop.change_item"))
        users = list(get_users_with_perms(item))
        remove_perm("change_item", user, item)

        assert before == "replica"
        assert (given, allowed, users) == (True, [item], [user])
        assert get_perms(User.objects.get(pk=user.pk), item) == []


def test_permission__of_a_group(others, replay_paused):
    """A permission of a group on an object from the standby counts for its members at once."""
    with others():
        user = User.objects.create_user("member")
        user.groups.add(Group.objects.create(name="members"))
        Item.objects.create(name="grouped")
    with replay_paused():
        item = Item.objects.get(name="grouped")
        assign_perm("view_item", Group.objects.get(name="members"), item)

        assert User.objects.get(username="member").has_perm("view_item", item)


def test_permission__given_by_somebody_else(others, replay_paused):
    """A permission that another client takes back counts no more, though the standby shows it."""
    with others():
        user = User.objects.create_user("revoked")
        item = Item.objects.create(name="revoked")
        assign_perm("change_item", user, item)
    with replay_paused():
        with others():
            remove_perm("change_item", user, item)

        assert not User.objects.get(pk=user.pk).has_perm("change_item", Item.objects.get(pk=item.pk))
