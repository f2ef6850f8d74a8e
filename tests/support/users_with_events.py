"""Conditions across databases: users on `default` and `replica`, and events of users on `analytics`."""

from typing import Any

from tests.support.moments import NOON

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import CrossDatabaseIn

FEW, MANY = (2, 3), (2, 3, 4, 5, 6, 7, 8)  # keys: at most one chunk, and three chunks of `small_chunks`


def store(keys: tuple[int, ...] = MANY) -> None:
    """Store the users 1 to 20, and two events of each user in `keys`; the kind of an event is the name of its user."""
    User.objects.bulk_create([User(pk=key, username=f"user{key:02}", first_name="ab"[key % 2]) for key in range(1, 21)])
    AnalyticsEvent.objects.bulk_create(
        [AnalyticsEvent(user_id=key, kind=f"user{key:02}", at=NOON) for key in keys for _ in "ab"]
    )


def seen(**options: Any) -> CrossDatabaseIn:
    """Return the condition that a user has an event."""
    return CrossDatabaseIn("id", AnalyticsEvent.objects.values("user_id"), **options)


def known(*keys: int) -> CrossDatabaseIn:
    """Return the condition that an event has a user: any one, or one of these keys."""
    users = User.objects.filter(pk__in=keys) if keys else User.objects.all()
    return CrossDatabaseIn("user_id", users.values("id"))


def named() -> CrossDatabaseIn:
    """Return a condition over texts: that an event has the name of the user as its kind."""
    return CrossDatabaseIn("username", AnalyticsEvent.objects.values("kind"))
