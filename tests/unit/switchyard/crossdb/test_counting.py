"""The metrics of queries across databases."""

from contextlib import suppress

import pytest
from tests.support.moments import NOON
from tests.support.users_with_events import seen

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import CrossDatabaseIn
from switchyard.crossdb.counting import counted
from switchyard.telemetry import snapshot

databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)


def counts(strategy: str = "one_statement") -> dict[str, float]:
    """Return the counts of users by keys of events, by name; those of a histogram without its buckets."""
    wanted = (("source", "analytics"), ("target", "default"), ("strategy", strategy))
    return {
        name.removeprefix("switchyard_cross_database_"): value
        for (name, labels), value in snapshot().items()
        if name.startswith("switchyard_cross_database_") and labels == wanted
    }


@databases
def test_counted__condition() -> None:
    """An execution counts once under the owners, with the keys that the source sent and its seconds."""
    User.objects.bulk_create([User(pk=key, username=f"user{key}") for key in (1, 2, 3)])
    AnalyticsEvent.objects.bulk_create([AnalyticsEvent(user_id=key, kind="view", at=NOON) for key in (1, 3, 9)])
    before = counts()

    assert User.objects.filter(seen()).count() == 2

    after = counts()
    added = {name: after[name] - before[name] for name in ("queries_total", "keys_total", "seconds_count")}
    assert added == {"queries_total": 1, "keys_total": 3, "seconds_count": 1}
    assert after["seconds_sum"] > before["seconds_sum"]


@databases
def test_counted__each_condition() -> None:
    """A query with two conditions counts once for each of them."""
    before = counts()["queries_total"]

    assert list(User.objects.filter(seen() | seen())) == []

    assert counts()["queries_total"] == before + 2


@databases
def test_counted__aliases_of_replicas() -> None:
    """Querysets with explicit aliases count under the owners of these."""
    before = counts()["queries_total"]

    assert list(User.objects.using("replica").filter(seen())) == []

    assert counts()["queries_total"] == before + 1


@databases
def test_counted__one_owner() -> None:
    """Keys and rows of one owner are no query across databases."""
    before = snapshot()

    assert list(User.objects.filter(CrossDatabaseIn("id", User.objects.values("id")))) == []

    changed = {name for (name, labels), value in snapshot().items() if value != before[name, labels]}
    assert not [name for name in changed if "cross_database" in name]


@databases
def test_counted__strategy_and_keys_of_the_block() -> None:
    """The block names its strategy at the end, and its keys."""
    before = counts("probe")

    with counted(AnalyticsEvent.objects.all(), "replica", "one_statement") as execution:
        execution.strategy, execution.keys = "probe", 2

    assert counts("probe")["queries_total"] == before["queries_total"] + 1
    assert counts("probe")["keys_total"] == before["keys_total"] + 2


@databases
def test_counted__failed() -> None:
    """A failed execution counts, with the keys that it has read."""
    before = counts()

    with suppress(ZeroDivisionError), counted(AnalyticsEvent.objects.all(), "default", "one_statement") as execution:
        execution.keys += 2
        raise ZeroDivisionError

    assert counts()["queries_total"] == before["queries_total"] + 1
    assert counts()["keys_total"] == before["keys_total"] + 2
