"""Sample events of a seed's users over thirty days: the same seed and users make the same events."""

import datetime as dt
from array import array
from collections.abc import Callable
from itertools import batched
from random import Random

from django.core.management import CommandError
from django.db import router, transaction

from accounts.models import User
from accounts.samples import prefix
from analytics.models import AnalyticsEvent
from switchyard.routing import use_primary

KINDS = ("view", "view", "view", "view", "search", "search", "login", "purchase")
FIRST_DAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SECONDS = 30 * 86_400
BATCH = 1000


def create(*, count: int, seed: int, advance: Callable[[int], None]) -> int:
    """Create the events in one transaction, and return their number: 0 when a user of the seed has events already.

    Raises CommandError when the seed has no users.
    """
    random = Random(f"events {seed}")  # noqa: S311 - sample data
    with use_primary(), transaction.atomic(using=router.db_for_write(AnalyticsEvent)):
        sampled = User.objects.filter(username__startswith=prefix(seed)).order_by("pk")
        users = array("q", sampled.values_list("pk", flat=True).iterator(chunk_size=BATCH))
        if not users:
            raise CommandError(f"Seed {seed} has no users yet, and events need users. Make some with --users.")
        if _has_events(users):
            return 0
        for numbers in batched(range(count), BATCH):
            AnalyticsEvent.objects.bulk_create([_event(users, random) for _ in numbers])
            advance(len(numbers))
    return count


def _has_events(users: array[int]) -> bool:
    return any(AnalyticsEvent.objects.filter(user_id__in=keys).exists() for keys in batched(users, BATCH))


def _event(users: array[int], random: Random) -> AnalyticsEvent:
    return AnalyticsEvent(
        user_id=random.choice(users),
        kind=random.choice(KINDS),
        at=FIRST_DAY + dt.timedelta(seconds=random.randrange(SECONDS)),
    )
