"""The number of tombstones of a reference, by state."""

from datetime import timedelta

import pytest
from django.db import Error, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from switchyard.crossdb.references.registry import Reference, references
from switchyard.crossdb.references.tombstones import OPEN, State, Tombstone
from switchyard.crossdb.references.worker.backlog import Backlog, backlog

pytestmark = pytest.mark.django_db(databases=["default"])


@pytest.fixture
def reference() -> Reference:
    """The reference of the service: from an event to its user. It has no tombstone."""
    Tombstone.objects.using("default").all().delete()
    (found,) = references()
    return found


def tombstone(state: State = State.WAITING, age: float = 0.0, reference: str = "analytics.AnalyticsEvent.user") -> None:
    """Make a tombstone."""
    deleted_at = timezone.now() - timedelta(seconds=age)
    Tombstone.objects.using("default").create(
        reference=reference, parent_key="1", deleted_at=deleted_at, due_at=timezone.now(), state=state
    )


def test_backlog__nothing_to_do(reference: Reference) -> None:
    """Without tombstones everything is 0."""
    assert backlog(reference) == Backlog(0, 0, 0, 0.0)


def test_backlog__by_state(reference: Reference) -> None:
    """Tombstones are counted by their state; those of other references are not."""
    for state in (State.WAITING, State.WAITING, State.HANDLED, State.SET_ASIDE, State.SET_ASIDE, State.SET_ASIDE):
        tombstone(state)
    tombstone(reference="shop.Order.user")
    found = backlog(reference)

    assert (found.waiting, found.handled, found.set_aside) == (2, 1, 3)


def test_backlog__oldest_that_waits(reference: Reference) -> None:
    """The age is that of the oldest one that waits, whenever it is due."""
    tombstone(age=60)
    tombstone(age=120)
    tombstone(State.HANDLED, age=900)
    tombstone(State.SET_ASIDE, age=900)

    assert backlog(reference).oldest_age_seconds == pytest.approx(120, abs=30)


def test_backlog__clock_of_the_database_ahead(reference: Reference) -> None:
    """An age is never negative."""
    tombstone(age=-60)

    assert backlog(reference).oldest_age_seconds == 0.0


def test_backlog__open_states_by_the_index(reference: Reference) -> None:
    """One query counts what is still to be done. It uses the index, and leaves out the many handled ones."""
    tombstone(State.HANDLED)
    with CaptureQueriesContext(connections["default"]) as asked:
        found = backlog(reference, OPEN)
    (query,) = asked.captured_queries
    with connections["default"].cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
        plan = " ".join(str(row[-1]) for row in cursor.fetchall())

    assert found == Backlog()
    assert "switchyard_tombstone_due (reference=? AND state=?)" in plan


def test_backlog__table_that_is_missing(reference: Reference) -> None:
    """An owner that cannot be read is an error of Django."""
    with connections["default"].cursor() as cursor:
        cursor.execute("DROP TABLE switchyard_tombstone")

    with pytest.raises(Error, match="switchyard_tombstone"):
        backlog(reference)
