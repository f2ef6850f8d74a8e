"""The reads of bench-crossdb, in one of three ways: by Switchyard, by the list of keys of Django's guide, or by a join.

The environment says which: BENCH_WAY is `switchyard`, `list` or `join`. BENCH_SINCE has the moments of the events, as
JSON: of each number of distinct keys.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db.models import QuerySet
from tests.bench.crossdb_tables import USERS

from accounts.models import User
from analytics.models import AnalyticsEvent

WAY = os.environ["BENCH_WAY"]
SINCE: dict[str, str] = json.loads(os.environ["BENCH_SINCE"])
FIRST = 50  # rows

type Users = QuerySet[User, Any]


def users(keys: int) -> Users:
    """Return the users of the newest events, which have this number of distinct users.

    There are more keys than users only of Switchyard: those of the events themselves.
    """
    events = AnalyticsEvent.objects.using("analytics").filter(at__gte=SINCE[str(keys)])
    if WAY == "switchyard":
        from switchyard.crossdb import CrossDatabaseIn  # noqa: PLC0415 - plain Django runs without it

        return User.objects.filter(CrossDatabaseIn("id", events.values("user_id" if keys <= USERS else "id")))
    if WAY == "join":
        return User.objects.using("analytics").filter(id__in=events.values("user_id"))
    return User.objects.filter(id__in=list(events.values_list("user_id", flat=True)))


def number_of(rows: Iterable[object]) -> int:
    """Return the number of rows, and keep none of them."""
    return sum(1 for _ in rows)


# Each reads the users and returns their number.
READS: dict[str, Callable[[Users], int]] = {
    "tuples": lambda found: number_of(found.values_list("id", "username")),
    "instances": number_of,
    "iterator": lambda found: number_of(found.values_list("id", "username").iterator()),
    "count": lambda found: found.count(),
    "first": lambda found: number_of(found.order_by("-username").values_list("id", "username")[:FIRST]),
}


@contextmanager
def checked(name: str, read: Callable[[], int], expected: int) -> Iterator[Callable[[], None]]:
    """A read that must find the expected number of rows."""

    def call() -> None:
        if (found := read()) != expected:
            raise SystemExit(f"'{WAY}' found {found} rows instead of {expected} by '{name}'.")

    yield call


WORKLOADS = {
    f"{form} {keys}": partial(
        checked,
        form,
        lambda read=read, keys=keys: read(users(keys)),
        FIRST if form == "first" else min(keys, USERS),
    )
    for form, read in READS.items()
    for keys in map(int, SINCE)
}
