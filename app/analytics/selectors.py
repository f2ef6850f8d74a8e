"""Reads of events, and of the users who have events."""

import datetime as dt

from django.db.models import QuerySet

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import CrossDatabaseIn


def event_list(
    *, after: int, limit: int, user_id: int | None = None, kind: str | None = None
) -> QuerySet[AnalyticsEvent]:
    """Return the next events in the order of their keys, of one user or one kind if given."""
    wanted = {"user_id": user_id, "kind": kind}
    given = {name: value for name, value in wanted.items() if value is not None}
    return AnalyticsEvent.objects.filter(pk__gt=after, **given).order_by("pk")[:limit]


def user_active_list(*, since: dt.datetime, after: int, limit: int) -> QuerySet[User]:
    """Return the next users with an event at or after `since`, in the order of their keys.

    Users and events are on two databases. The result leaves out the keys of deleted users.
    """
    # The condition on the users alone would be enough; with that on the events the first keys are those of this page.
    events = AnalyticsEvent.objects.filter(at__gte=since, user_id__gt=after)
    active = CrossDatabaseIn("id", events.values("user_id"))
    return User.objects.filter(active, pk__gt=after).order_by("pk")[:limit]
