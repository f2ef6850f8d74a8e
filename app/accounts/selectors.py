"""Reads of users. The routers choose the alias: a fit replica, else the owner."""

from django.db.models import QuerySet

from accounts.models import User


def user_list(*, after: int, limit: int) -> QuerySet[User]:
    """Return the next users in the order of their keys."""
    return User.objects.filter(pk__gt=after).order_by("pk")[:limit]


def user_get(*, user_id: int) -> User:
    """Return the user; raise User.DoesNotExist."""
    return User.objects.get(pk=user_id)
