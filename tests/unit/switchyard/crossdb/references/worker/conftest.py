"""A reference, and users with events."""

import pytest
from tests.support.moments import NOON

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb.references.registry import Reference, references
from switchyard.crossdb.references.tombstones import Tombstone


@pytest.fixture
def reference() -> Reference:
    """The reference of the service: from an event to its user."""
    (found,) = references()
    return found


@pytest.fixture
def users(db: None) -> list[User]:
    """Five users, each with two events, and no tombstone."""
    Tombstone.objects.using("default").all().delete()
    users = User.objects.bulk_create([User(pk=key, username=f"user{key}") for key in range(1, 6)])
    AnalyticsEvent.objects.bulk_create(
        [AnalyticsEvent(user=user, kind=kind, at=NOON) for user in users for kind in ("login", "logout")]
    )
    return users
