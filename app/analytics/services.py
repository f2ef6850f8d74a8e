"""Writes of events."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.routing import use_primary


@dataclass(frozen=True)
class NewEvent:
    """An event to store."""

    user_id: int
    kind: str
    at: dt.datetime


class UnknownUsersError(Exception):
    """Events hold keys of users that do not exist."""

    def __init__(self, user_ids: Sequence[int]) -> None:
        self.user_ids = user_ids
        super().__init__(f"No user has the key {', '.join(map(str, user_ids))}. Nothing was stored.")


def events_create(*, events: Sequence[NewEvent]) -> int:
    """Store all events or none, and return their number; raise UnknownUsersError.

    No constraint keeps the keys of users on another database, so one query on their owner looks up all keys first. The
    owner answers, because a replica may not have a new user yet.
    """
    named = {event.user_id for event in events}
    with use_primary():
        known = set(User.objects.filter(pk__in=named).values_list("pk", flat=True))
    if unknown := sorted(named - known):
        raise UnknownUsersError(unknown)
    rows = [AnalyticsEvent(user_id=event.user_id, kind=event.kind, at=event.at) for event in events]
    return len(AnalyticsEvent.objects.bulk_create(rows))
