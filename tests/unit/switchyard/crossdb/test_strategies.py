"""Which strategy answers a condition, and which queries it sends to which alias."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Count, F, Q, Sum
from tests.support.counted import counted
from tests.support.users_with_events import FEW, MANY, known, named, seen, store

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import CrossDatabaseIn
from switchyard.crossdb.strategies import probe
from switchyard.routing import read_only, use_primary
from switchyard.testing import assert_queries, replica_lag

pytestmark = pytest.mark.usefixtures("small_chunks")
databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)
users, events = User.objects, AnalyticsEvent.objects


def counts(metric: str, label: str) -> Counter[str]:
    """Return the counts of a metric of queries across databases, by one label."""
    return counted(f"switchyard_cross_database_{metric}_total", label)


def strategies_of(run: Callable[[], Any]) -> dict[str, int]:
    """Return how often the call has used each strategy."""
    before = counts("queries", "strategy")
    run()
    return dict(counts("queries", "strategy") - before)


def within_read_only() -> None:
    """Read the events of unknown users in a block without writes."""
    with read_only("analytics"):
        list(events.exclude(known()))


SITUATIONS: dict[str, tuple[tuple[int, ...], Callable[[], Any], dict[str, int]]] = {
    "few keys": (FEW, lambda: list(users.filter(seen())), {"one_statement": 1}),
    "count of few keys": (FEW, lambda: users.filter(seen()).count(), {"one_statement": 1}),
    "no key": ((), lambda: list(users.filter(seen())), {"one_statement": 1}),
    "list": (MANY, lambda: list(users.filter(seen())), {"chunks": 1}),
    "iterator": (MANY, lambda: list(users.filter(seen()).iterator(2)), {"chunks": 1}),
    "more conditions": (MANY, lambda: list(users.filter(seen(), first_name="a").exclude(pk=3)), {"chunks": 1}),
    "values": (MANY, lambda: list(users.filter(seen()).values_list("username")), {"chunks": 1}),
    "count": (MANY, lambda: users.filter(seen()).count(), {"chunks": 1}),
    "order by the key": (MANY, lambda: list(users.filter(seen()).order_by("id", "username")), {"chunks": 1}),
    "from the last key": (MANY, lambda: list(users.filter(seen()).order_by("-id")), {"chunks": 1}),
    "slice by the key": (MANY, lambda: list(users.filter(seen()).order_by("id")[:2]), {"chunks": 1}),
    "slice without an order": (MANY, lambda: list(users.filter(seen())[:2]), {"chunks": 1}),
    "exists": (MANY, lambda: users.filter(seen()).exists(), {"chunks": 1}),
    "first": (MANY, lambda: users.filter(seen()).first(), {"chunks": 1}),
    "get": (MANY, lambda: users.filter(seen()).get(pk=3), {"chunks": 1}),
    "update": (MANY, lambda: users.filter(seen()).update(first_name="z"), {"chunks": 1}),
    "delete": (MANY, lambda: events.filter(known()).delete(), {"chunks": 1}),
    "update of the key": (
        MANY,
        lambda: events.filter(known()).update(user_id=F("user_id") + 1),
        {"temporary_table": 1},
    ),
    "exclude on an owner": (MANY, lambda: list(events.exclude(known())), {"temporary_table": 1}),
    "exclude on an owner, iterated": (MANY, lambda: list(events.exclude(known()).iterator()), {"one_statement": 1}),
    "exclude on an owner that is read only here": (MANY, within_read_only, {"one_statement": 1}),
    "slice by another": (MANY, lambda: list(users.filter(seen()).order_by("username")[:2]), {"probe": 1}),
    "slice with an offset": (MANY, lambda: list(users.filter(seen()).order_by("id")[1:3]), {"probe": 1}),
    "last by another": (MANY, lambda: users.filter(seen()).order_by("-username").last(), {"probe": 1}),
    "probe in vain": (MANY, lambda: list(users.filter(seen()).order_by("-username")[:3]), {"one_statement": 1}),
    "long slice by another": (
        MANY,
        lambda: list(users.filter(seen()).order_by("username")[: probe.MAX_LIMIT + 1]),
        {"one_statement": 1},
    ),
    "order by another": (MANY, lambda: list(users.filter(seen()).order_by("username")), {"one_statement": 1}),
    "exclude": (MANY, lambda: list(users.exclude(seen())), {"one_statement": 1}),
    "or": (MANY, lambda: list(users.filter(Q(first_name="a") | seen())), {"one_statement": 1}),
    "distinct": (MANY, lambda: list(users.filter(seen()).values("first_name").distinct()), {"one_statement": 1}),
    "aggregate": (MANY, lambda: users.filter(seen()).aggregate(Sum("pk")), {"one_statement": 1}),
    "groups": (
        MANY,
        lambda: list(users.filter(seen()).values("first_name").annotate(Count("pk"))),
        {"one_statement": 1},
    ),
    "annotate": (MANY, lambda: list(users.annotate(has=seen())), {"one_statement": 1}),
    "union": (MANY, lambda: list(users.filter(seen()).union(users.filter(pk=1))), {"one_statement": 1}),
    "subquery": (MANY, lambda: list(users.filter(pk__in=users.filter(seen()))), {"one_statement": 1}),
    "count of a slice": (MANY, users.filter(seen()).order_by("pk")[:5].count, {"one_statement": 1}),
    "two conditions": (MANY, lambda: list(users.filter(seen(), named())), {"one_statement": 2}),
    "texts": (MANY, lambda: list(users.filter(named())), {"one_statement": 1}),
    "sliced source": (
        MANY,
        lambda: list(users.filter(CrossDatabaseIn("id", events.order_by("at").values("user_id")[:9]))),
        {"one_statement": 1},
    ),
    "source on the same alias": (MANY, lambda: list(users.filter(CrossDatabaseIn("id", users.values("id")))), {}),
}

QUERIES: dict[str, tuple[Callable[[], Any], dict[str, int]]] = {
    "chunks": (lambda: list(users.filter(seen())), {"analytics": 1, "replica": 3}),
    "count by chunks": (lambda: users.filter(seen()).count(), {"analytics": 1, "replica": 3}),
    "first page of keys": (lambda: list(users.filter(seen()).order_by("id")[:2]), {"analytics": 1, "replica": 1}),
    "pages of keys": (
        lambda: list(users.filter(seen(), pk__gt=5).order_by("id")[:2]),
        {"analytics": 3, "replica": 3},
    ),
    "one statement": (lambda: list(users.exclude(seen())), {"analytics": 1, "replica": 1}),
    "probe": (lambda: list(users.filter(seen()).order_by("username")[:2]), {"analytics": 1, "replica": 2}),
    "second probe": (lambda: list(users.filter(seen()).order_by("username")[:3]), {"analytics": 2, "replica": 3}),
    "probe in vain": (
        lambda: list(users.filter(seen()).order_by("-username")[:3]),
        {"analytics": 3, "replica": 3},
    ),
    "subquery": (lambda: list(users.filter(CrossDatabaseIn("id", users.values("id")))), {"replica": 1}),
    "update": (lambda: users.filter(seen()).update(first_name="z"), {"analytics": 1, "default": 3}),
    "text keys": (lambda: list(users.filter(named())), {"analytics": 1, "replica": 1}),
}


@databases
@pytest.mark.parametrize("situation", SITUATIONS)
def test_strategy__chosen(situation: str) -> None:
    """The form of the query and the number of keys decide the strategy."""
    keys, run, expected = SITUATIONS[situation]
    store(keys)

    assert strategies_of(run) == expected


@databases
@pytest.mark.parametrize("situation", QUERIES)
def test_strategy__queries(situation: str) -> None:
    """Each strategy sends the stated number of queries to each alias."""
    run, expected = QUERIES[situation]
    store()

    with assert_queries(**expected):
        run()


@databases
def test_strategy__keys() -> None:
    """The metrics have the distinct keys that the source sent: for a limit those of its pages only."""
    store()
    before = counts("keys", "source")["analytics"]

    list(users.filter(seen()))
    assert counts("keys", "source")["analytics"] == before + len(MANY)

    list(users.filter(seen()).order_by("id")[:2])
    assert counts("keys", "source")["analytics"] == before + len(MANY) + 2


@databases
def test_temporary_table__statements_are_counted() -> None:
    """The metrics of the alias have each statement for the table: it is made and dropped, and filled by chunks."""
    store()
    before = counted("switchyard_queries_total", "operation", alias="analytics")

    list(events.exclude(known()))

    calls = counted("switchyard_queries_total", "operation", alias="analytics") - before
    assert {each: calls[each] for each in ("ddl", "write", "read")} == {"ddl": 2, "write": 7, "read": 1}


@databases
def test_temporary_table__no_read_waits() -> None:
    """The statements for the table write nothing that a replica must have: the next read goes there."""
    store()
    with replica_lag() as lag:
        lag.pause()
        with use_primary(), assert_queries(analytics=1, default=1):
            list(users.exclude(seen()))

        with assert_queries(replica=1):
            users.count()
