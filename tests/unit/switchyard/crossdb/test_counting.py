"""The metrics of queries across databases."""

import datetime as dt
from contextlib import suppress

import pytest

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import rows_by_key
from switchyard.crossdb.counting import counted
from switchyard.telemetry import snapshot

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
LABELS = (("source", "analytics"), ("target", "default"), ("strategy", "chunks"))
databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)


def counts() -> dict[str, float]:
    """Return the counts of all labels, by name; those of a histogram without its buckets."""
    return {
        name.removeprefix("switchyard_cross_database_"): value
        for (name, labels), value in snapshot().items()
        if name.startswith("switchyard_cross_database_") and labels == LABELS
    }


def rows() -> list[User]:
    """Find the users with an event."""
    return rows_by_key(User.objects.all(), AnalyticsEvent.objects.values("user_id"), after=0, limit=10)


@databases
def test_counted__rows_by_key() -> None:
    """An execution counts once under the owners, with the keys that the source sent and its seconds."""
    User.objects.bulk_create([User(pk=key, username=f"user{key}") for key in (1, 2, 3)])
    AnalyticsEvent.objects.bulk_create([AnalyticsEvent(user_id=key, kind="view", at=NOON) for key in (1, 3, 9)])
    before = counts()

    assert [user.pk for user in rows()] == [1, 3]

    after = counts()
    added = {name: after[name] - before[name] for name in ("queries_total", "keys_total", "seconds_count")}
    assert added == {"queries_total": 1, "keys_total": 3, "seconds_count": 1}
    assert after["seconds_sum"] > before["seconds_sum"]


@databases
def test_counted__aliases_of_replicas() -> None:
    """Querysets with explicit aliases count under the owners of these."""
    before = counts()["queries_total"]

    rows_by_key(User.objects.using("replica"), AnalyticsEvent.objects.values("user_id"), after=0, limit=10)

    assert counts()["queries_total"] == before + 1


@databases
def test_counted__one_owner() -> None:
    """Keys and rows of one owner are no query across databases."""
    before = snapshot()

    rows_by_key(User.objects.all(), User.objects.values("id"), after=0, limit=10)

    changed = {name for (name, labels), value in snapshot().items() if value != before[name, labels]}
    assert not [name for name in changed if "cross_database" in name]


@databases
def test_counted__failed() -> None:
    """A failed execution counts, with the keys that it has read."""
    before = counts()

    with suppress(ZeroDivisionError), counted(AnalyticsEvent.objects.all(), User.objects.all(), "chunks") as run:
        run.keys += 2
        raise ZeroDivisionError

    assert counts()["queries_total"] == before["queries_total"] + 1
    assert counts()["keys_total"] == before["keys_total"] + 2
