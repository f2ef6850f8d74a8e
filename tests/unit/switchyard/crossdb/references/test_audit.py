"""The audit of references: which children are orphans, what `fix` does with them, and in how much memory."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, models
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support import spelled_keys
from tests.support.moments import NOON
from tests.support.spelled_keys import STICKERS, Label, stick, stuck

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import sources
from switchyard.crossdb.references.audit import Audit, audits
from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.tombstones import State
from switchyard.crossdb.references.worker.claims import tombstones
from switchyard.routing import read_only
from switchyard.testing import assert_queries

EVENTS = Reference(AnalyticsEvent._meta.get_field("user"))
databases = pytest.mark.django_db(databases=["default", "analytics"])
# Tables are made and removed, which SQLite refuses inside a transaction.
own_tables = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)


def audited(reference: Reference = EVENTS, **options: Any) -> Audit:
    """Audit one reference."""
    (found,) = audits([reference], **{"fix": False, **options})
    return found


def store(users: Any, events: Any) -> None:
    """Store these users only, and an event of each user of `events`."""
    for model in (User, AnalyticsEvent):
        model.objects.all().delete()
    User.objects.bulk_create([User(pk=key, username=f"user{key}") for key in users])
    AnalyticsEvent.objects.bulk_create([AnalyticsEvent(user_id=key, kind="view", at=NOON) for key in events])


def users_of_events() -> list[int]:
    """Return the user of each event, in order."""
    return sorted(AnalyticsEvent.objects.using("analytics").values_list("user_id", flat=True))


@pytest.fixture
def labels() -> Iterator[None]:
    """Labels of exact codes, and stickers whose column takes codes of any case for equal."""
    with spelled_keys.tables():
        yield


@databases
@pytest.mark.parametrize("fix", [False, True], ids=["reported", "fixed"])
def test_audit__as_sets(monkeypatch: pytest.MonkeyPatch, fix: bool) -> None:
    """Keys, children and examples are those of a comparison of two lists, and a fix removes exactly these children."""
    monkeypatch.setattr(sources, "CHUNK_SIZE", 3)
    keys = st.integers(1, 20) | st.just(2**63 - 1)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(users=st.sets(keys), events=st.lists(keys, max_size=40))
    @example(users=set(), events=[*range(1, 15)])  # more keys than examples
    def check(users: set[int], events: list[int]) -> None:
        store(users, events)
        missing = sorted(set(events) - users)

        found = audited(fix=fix)

        assert (found.checked, found.orphan_keys, found.examples) == (len(set(events)), len(missing), missing[:10])
        orphans = [key for key in events if key not in users]
        assert (found.orphans, found.fixed) == (len(orphans), len(orphans) if fix else 0)
        assert users_of_events() == sorted(key for key in events if key in users or not fix)

    check()


@databases
def test_audit__queries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk asks the parents' owner once, and a chunk with candidates asks each owner once more."""
    monkeypatch.setattr(sources, "CHUNK_SIZE", 3)
    store(range(1, 9), range(1, 10))

    with assert_queries(analytics=2, default=5):  # the last of `default` counts the tombstones
        assert audited().examples == [9]


@databases
@pytest.mark.parametrize(
    ("fix", "at"),
    [(False, 1), (False, 2), (True, 1), (True, 2), (True, 3)],
    ids=["first question", "second", "first before a fix", "second before a fix", "question of the fix"],
)
def test_audit__parent_that_comes_meanwhile(fix: bool, at: int) -> None:
    """A parent that is inserted before the last question to its owner is found, and its children stay."""
    store([1], [1, 2, 3])
    questions: list[str] = []

    def insert_late(execute: Any, sql: str, *args: Any) -> Any:
        questions.append(sql)
        if len(questions) == at:
            User.objects.create(pk=2, username="late")
        return execute(sql, *args)

    with connections["default"].execute_wrapper(insert_late):
        found = audited(fix=fix)

    assert User.objects.using("default").filter(pk=2).exists()
    assert (found.orphan_keys, found.orphans, found.examples) == (1, 1, [3])
    assert users_of_events() == ([1, 2] if fix else [1, 2, 3])


@databases
def test_audit__child_that_goes_meanwhile() -> None:
    """A candidate whose children were deleted after their keys were read is no orphan."""
    store([1], [1, 2])

    def delete(found: Audit) -> None:
        if found.checked:
            AnalyticsEvent.objects.filter(user_id=2).delete()

    found = audited(report=delete)

    assert (found.checked, found.orphans, found.examples) == (2, 0, [])


@databases
def test_audit__do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """DO_NOTHING is audited, and a fix leaves its orphans."""
    monkeypatch.setattr(EVENTS.field, "on_delete", models.DO_NOTHING)
    store([1], [1, 2])

    found = audited(fix=True)

    assert (found.orphans, found.fixed, found.has_orphans) == (1, 0, True)
    assert users_of_events() == [1, 2]


@databases
def test_audit__waiting_tombstones() -> None:
    """The deletions that wait for the worker are counted beside the orphans; those that it handled are not."""
    store([1, 2, 3, 4], [1, 2, 3, 4])
    User.objects.filter(pk=2).delete()
    tombstones(EVENTS).update(state=State.HANDLED)
    User.objects.filter(pk__in=[3, 4]).delete()

    found = audited()

    assert (found.waiting_tombstones, found.orphans) == (2, 3)


@own_tables
def test_audit__set_null(labels: None) -> None:
    """A fix of SET_NULL keeps the children without their reference; NULL is no orphan."""
    Label.objects.using("default").create(code="a")
    stick("a", "b", None, "b")

    found = audited(STICKERS, fix=True)

    assert (found.checked, found.orphan_keys, found.orphans, found.fixed) == (2, 1, 2, 2)
    assert stuck() == ["a", None, None, None]


@own_tables
def test_audit__column_that_ignores_case(labels: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of another case are other keys if the parents' column says so, whatever the children's column says."""
    monkeypatch.setattr(sources, "CHUNK_SIZE", 2)
    Label.objects.using("default").create(code="abc")
    stick("ABC", "abc", "Zoë", "ABC", "zoë", "abc")

    found = audited(STICKERS, fix=True)

    assert (found.checked, found.orphan_keys, found.orphans, found.fixed) == (4, 3, 4, 4)
    assert found.examples == ["ABC", "Zoë", "zoë"]
    assert stuck() == [None, "abc", None, None, None, "abc"]


@own_tables
def test_audit__parents_that_ignore_case() -> None:
    """A key of another case has a parent if the parents' column says so."""
    with spelled_keys.tables(parents="nocase", children="binary"):
        Label.objects.using("default").create(code="abc")
        stick("ABC", "abc", "xyz", "XYZ")

        found = audited(STICKERS, fix=True)

        assert (found.checked, found.examples, found.fixed) == (4, ["XYZ", "xyz"], 2)
        assert stuck() == ["ABC", "abc", None, None]


@databases
def test_audit__refused_write() -> None:
    """A fix that may not write keeps what it has found, and says what was refused."""
    store([1], [1, 2])

    with read_only("analytics"):
        found = audited(fix=True)

    assert (found.orphans, found.fixed) == (1, 0)
    assert found.error.startswith("A write was refused on 'analytics' inside read_only()")
    assert users_of_events() == [1, 2]


@databases
def test_audit__memory() -> None:
    """The memory is that of a few chunks: four times as many keys, all of them orphans, take no more."""
    few, many = _peak_bytes(50_000), _peak_bytes(200_000)

    assert many < few * 1.1


def _peak_bytes(keys: int) -> int:
    with connections["analytics"].cursor() as cursor:
        cursor.execute("DELETE FROM analytics_analyticsevent")
        cursor.execute(
            "INSERT INTO analytics_analyticsevent (user_id, kind, at) WITH RECURSIVE numbers(n) AS"
            " (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s) SELECT n + 1000000, 'x', %s FROM numbers",
            [keys, "2026-01-01 00:00:00"],
        )
    tracemalloc.start()
    try:
        found = audited()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found.checked, found.orphans) == (keys, keys)
    return peak
