"""Sample users: the same seed makes the same users."""

import datetime as dt
from collections.abc import Callable
from itertools import batched
from random import Random

from django.db import router, transaction

from accounts.models import User
from switchyard.routing import use_primary

FIRST_NAMES = ("Ada", "Barbara", "Edsger", "Frances", "Grace", "Katherine", "Ken", "Leslie", "Margaret", "Radia")
LAST_NAMES = ("Allen", "Dijkstra", "Hamilton", "Hopper", "Johnson", "Lamport", "Liskov", "Lovelace", "Perlman")
JOINED_FROM = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
BATCH = 1000


def prefix(seed: int) -> str:
    """Return the prefix of the usernames of the seed's users."""
    return f"sample-{seed}-"


def create(*, count: int, seed: int, advance: Callable[[int], None]) -> int:
    """Create the users in one transaction, and return their number: 0 when the seed's first user exists already."""
    random = Random(f"users {seed}")  # noqa: S311 - sample data
    with use_primary(), transaction.atomic(using=router.db_for_write(User)):
        if User.objects.filter(username=f"{prefix(seed)}1").exists():
            return 0
        for numbers in batched(range(1, count + 1), BATCH):
            User.objects.bulk_create([_user(number, seed, random) for number in numbers])
            advance(len(numbers))
    return count


def _user(number: int, seed: int, random: Random) -> User:
    username = f"{prefix(seed)}{number}"
    return User(
        username=username,
        email=f"{username}@example.com",
        first_name=random.choice(FIRST_NAMES),
        last_name=random.choice(LAST_NAMES),
        password="!",  # noqa: S106 - Django's mark of an unusable password
        date_joined=JOINED_FROM + dt.timedelta(seconds=random.randrange(365 * 86_400)),
    )
