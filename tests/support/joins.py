"""A property of the cross-database query: it returns the same users as one SQL join of the same rows.

The module uses no fixture and names no server: the calling test prepares the databases, without users and events.
"""

import datetime as dt
import sqlite3

from hypothesis import strategies as st

from accounts.models import User
from analytics.models import AnalyticsEvent
from analytics.selectors import user_active_list

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
MOST_KEYS = 12

seconds = st.integers(0, 5)
cases = st.fixed_dictionaries(
    {
        "users": st.sets(st.integers(1, MOST_KEYS), max_size=8),
        "events": st.lists(st.tuples(st.integers(1, MOST_KEYS), seconds), max_size=20),
        "since": seconds,
        "limit": st.integers(1, MOST_KEYS),
    }
)
"""Cases with few keys and moments: dead keys, users without events, repeated keys and ties with `since` are common."""


def check_same_as_join(*, users: set[int], events: list[tuple[int, int]], since: int, limit: int) -> None:
    """Store the rows in their databases; assert that all pages together are the users of the join, in its order."""
    User.objects.all().delete()
    AnalyticsEvent.objects.all().delete()
    User.objects.bulk_create([User(pk=key, username=f"user{key}", password="!") for key in sorted(users)])
    AnalyticsEvent.objects.bulk_create(
        [AnalyticsEvent(user_id=key, kind="view", at=START + dt.timedelta(seconds=at)) for key, at in events]
    )

    seen: list[int] = []
    pages = 0
    after = 0
    while True:
        page = list(user_active_list(since=START + dt.timedelta(seconds=since), after=after, limit=limit))
        seen += [user.pk for user in page]
        pages += 1
        if len(page) < limit:
            break
        after = page[-1].pk

    expected = _joined(users=users, events=events, since=since)
    assert seen == expected
    assert pages == len(expected) // limit + 1


def _joined(*, users: set[int], events: list[tuple[int, int]], since: int) -> list[int]:
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY)")
        database.execute("CREATE TABLE events (user_id INTEGER, at INTEGER)")
        database.executemany("INSERT INTO users VALUES (?)", [(key,) for key in users])
        database.executemany("INSERT INTO events VALUES (?, ?)", events)
        rows = database.execute(
            "SELECT DISTINCT users.id FROM users JOIN events ON events.user_id = users.id"
            " WHERE events.at >= ? ORDER BY users.id",
            [since],
        ).fetchall()
    database.close()
    return [key for (key,) in rows]
