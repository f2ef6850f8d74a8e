"""Delete users while their events are inserted, in a process of the service: the load of `crossdb_deletions.py`.

`python -m tests.bench.crossdb_load USERS SECONDS SEED` writes to its output which events must be there at the end. It
deletes most users in about so many seconds, and inserts events until its input ends.
"""

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count

import django

django.setup()

from django.db import Error, IntegrityError, connections, transaction  # noqa: E402 - needs the settings
from django.utils import timezone  # noqa: E402 - as above

from accounts.models import User  # noqa: E402 - as above
from analytics.models import AnalyticsEvent  # noqa: E402 - as above

EVENTS_OF_USER = 3
RETRY_SECONDS = 0.2


class Load:
    """Users 1 to `users`: one in eleven stays, one in fifty is deleted and inserted again, all others are deleted."""

    def __init__(self, users: int, seconds: float, seed: int) -> None:
        rng = random.Random(seed)
        keys = range(1, users + 1)
        self.seconds, self.users = seconds, users
        self.reborn = [key for key in keys if key % 50 == 0]
        self.deleted = [key for key in keys if key % 50 and key % 11]
        rng.shuffle(self.deleted)
        self.events: dict[int, tuple[int, int]] = {}  # key -> user, and the time of its first attempt
        self.reborn_at: dict[int, int] = {}  # user -> the time from which its events must stay
        self._clock = count(1)
        self._keys = count(users * EVENTS_OF_USER + 1)
        self._slices = self._sliced(rng)
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def run(self) -> None:
        """Run all threads until the deletions are done and the input has ended."""
        deleting = [
            threading.Thread(target=self._delete, args=(way,)) for way in (by_queryset, by_instances, by_statement)
        ]
        others = [threading.Thread(target=self._insert, args=(number,)) for number in range(2)]
        others.append(threading.Thread(target=self._bring_back))
        for thread in (*deleting, *others):
            thread.start()
        for thread in deleting:
            thread.join()
        print("deleted", flush=True)
        sys.stdin.read()
        self._ended.set()
        for thread in others:
            thread.join()

    def required(self) -> dict[int, int]:
        """Return the user of each event that must be there if its user is."""
        return {key: user for key, (user, at) in self.events.items() if at > self.reborn_at.get(user, -1)}

    def _sliced(self, rng: random.Random) -> Iterator[list[int]]:
        first = 0
        while first < len(self.deleted):
            size = rng.choice((1, 5, 50, 400))
            yield self.deleted[first : first + size]
            first += size

    def _delete(self, delete: Callable[[list[int]], None]) -> None:
        began_at, done = time.monotonic(), 0
        while True:
            with self._lock:
                keys = next(self._slices, None)
            if keys is None:
                return
            retried(lambda keys=keys: delete(keys))
            done += len(keys)
            # Each of the three threads has a third of the users, and spreads them over the time.
            due_at = began_at + self.seconds * 3 * done / len(self.deleted)
            self._ended.wait(max(0.0, due_at - time.monotonic()))

    def _insert(self, number: int) -> None:
        rng = random.Random(number)
        while not self._ended.is_set():
            size = rng.choice((1, 1, 20))
            with self._lock:
                at, keys = next(self._clock), [next(self._keys) for _ in range(size)]
            named = {key: rng.randint(1, self.users) for key in keys}
            rows = [AnalyticsEvent(pk=key, user_id=user, kind="late", at=timezone.now()) for key, user in named.items()]
            retried(lambda rows=rows: inserted(rows))
            with self._lock:
                self.events |= {key: (user, at) for key, user in named.items()}

    def _bring_back(self) -> None:
        """Delete users and insert them again: in one transaction, or in two."""
        rng = random.Random(0)
        while not self._ended.is_set():
            key = rng.choice(self.reborn)
            retried(lambda key=key: reborn(key, at_once=rng.random() < 0.5))
            with self._lock:
                self.reborn_at[key] = next(self._clock)
            self._ended.wait(0.01)


def by_queryset(keys: list[int]) -> None:
    """Delete by the ORM, which collects what belongs to the users."""
    User.objects.filter(pk__in=keys).delete()


def by_instances(keys: list[int]) -> None:
    """Delete one by one."""
    for user in User.objects.using("default").filter(pk__in=keys):
        user.delete(using="default")


def by_statement(keys: list[int]) -> None:
    """Delete by SQL that Django does not understand."""
    with connections["default"].cursor() as cursor:
        marks = ", ".join(["%s"] * len(keys))
        cursor.execute(f"DELETE FROM accounts_user WHERE id IN ({marks})", keys)


def inserted(rows: list[AnalyticsEvent]) -> None:
    """Insert the events. A second attempt finds them there if only the answer to the first one was lost."""
    try:
        AnalyticsEvent.objects.bulk_create(rows)
    except IntegrityError:
        keys = [row.pk for row in rows]
        assert AnalyticsEvent.objects.using("analytics").filter(pk__in=keys).count() <= len(rows)


def reborn(key: int, *, at_once: bool) -> None:
    """Delete a user and insert it with the same key."""
    user = User(pk=key, username=f"reborn-{key}", password="!")
    if at_once:
        with transaction.atomic(using="default"):
            User.objects.using("default").filter(pk=key).delete()
            user.save(using="default", force_insert=True)
        return
    User.objects.using("default").filter(pk=key).delete()
    user.save(using="default", force_insert=True)


def retried(work: Callable[[], None]) -> None:
    """Do the work, again after each error of a database: the servers are restarted meanwhile."""
    while True:
        try:
            work()
        except Error as error:
            if isinstance(error, IntegrityError):
                raise
            connections.close_all()
            time.sleep(RETRY_SECONDS)
        else:
            return


def main() -> None:
    """Run the load."""
    users, seconds, seed = sys.argv[1:]
    load = Load(int(users), float(seconds), int(seed))
    load.run()
    json.dump(load.required(), sys.stdout)


if __name__ == "__main__":
    main()
