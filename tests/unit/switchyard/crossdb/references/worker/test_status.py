"""How a reference is: its triggers, its tombstones and its errors."""

from datetime import timedelta

import pytest
from django.db import connections
from django.db.models import DO_NOTHING
from django.utils import timezone

from analytics.models import AnalyticsEvent
from switchyard.crossdb.references.checks import presence
from switchyard.crossdb.references.registry import Reference, references
from switchyard.crossdb.references.tombstones import State, Tombstone
from switchyard.crossdb.references.triggers.mysql import MYSQL
from switchyard.crossdb.references.triggers.sqlite import SQLITE
from switchyard.crossdb.references.worker.status import status, statuses

pytestmark = pytest.mark.django_db(databases=["default"])

NAME = "deletions_analytics_analyticsevent_user_id"


@pytest.fixture
def reference() -> Reference:
    """The reference of the service, without a tombstone."""
    Tombstone.objects.using("default").all().delete()
    (found,) = references()
    return found


def execute(sql: str) -> None:
    """Run a statement on the owner of the parents."""
    with connections["default"].cursor() as cursor:
        cursor.execute(sql)


def test_status__well(reference: Reference) -> None:
    """The status has the owners and the rule, and the triggers that are there."""
    found = status(reference)

    assert (found.state, found.source, found.target, found.rule) == ("well", "default", "analytics", "CASCADE")
    assert (found.recorded_by, found.triggers) == ("triggers", (f"{NAME}_delete", f"{NAME}_update"))


def test_status__missing_trigger(reference: Reference) -> None:
    """A trigger that somebody dropped is named."""
    execute(f"DROP TRIGGER {NAME}_update")
    found = status(reference)

    assert (found.state, found.missing_triggers) == ("trigger missing", (f"{NAME}_update",))


def test_status__set_aside(reference: Reference) -> None:
    """The error is that of the tombstone that was set aside last."""
    now = timezone.now()
    for seconds, error in ((20, "IntegrityError"), (10, "ValueError"), (30, "OperationalError")):
        Tombstone.objects.using("default").create(
            reference=reference.label,
            parent_key="1",
            state=State.SET_ASIDE,
            error=error,
            due_at=now - timedelta(seconds=seconds),
        )
    found = status(reference)

    assert (found.state, found.tombstones.set_aside, found.set_aside_error) == ("set aside", 3, "ValueError")


def test_status__unreadable(reference: Reference) -> None:
    """An owner without the table of tombstones is one that cannot be read."""
    execute("DROP TABLE switchyard_tombstone")
    found = status(reference)

    assert (found.state, found.error) == ("unreadable", "no such table: switchyard_tombstone")


def test_status__recorded_by_signals(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """With signals no trigger is needed."""
    monkeypatch.setattr(reference.field, "recorded_by", "signals")
    found = status(reference)

    assert (found.state, found.recorded_by, found.triggers, found.missing_triggers) == ("well", "signals", (), ())


def test_status__do_nothing(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """With DO_NOTHING nothing is recorded, and the owner is not asked."""
    monkeypatch.setattr(AnalyticsEvent._meta.get_field("user"), "on_delete", DO_NOTHING)
    execute("DROP TABLE switchyard_tombstone")

    assert (status(reference).state, status(reference).recorded_by) == ("well", "none")


@pytest.mark.parametrize(
    ("may_see", "expected"),
    [(True, ("trigger missing", (f"{NAME}_delete",), (f"{NAME}_update",))), (False, ("well", None, ()))],
)
def test_status__role_of_mysql(
    reference: Reference, monkeypatch: pytest.MonkeyPatch, *, may_see: bool, expected: tuple[object, ...]
) -> None:
    """MySQL shows triggers only to a role that may make them; to another one no trigger is missing."""
    execute(f"DROP TRIGGER {NAME}_update")
    listed = MYSQL._replace(listed=SQLITE.listed)
    monkeypatch.setattr(presence, "triggers_of", lambda _vendor: listed)
    monkeypatch.setattr(presence, "has_right", lambda *_asked: may_see)
    monkeypatch.setattr(type(connections["default"]), "vendor", "mysql")
    found = status(reference)

    assert (found.state, found.triggers, found.missing_triggers) == expected


def test_statuses__unknown_reference(reference: Reference) -> None:
    """A reference that only tombstones name comes after the others, with its owner, its tombstones and advice."""
    Tombstone.objects.using("default").create(reference="shop.Order.user", parent_key="1")
    known, unknown = statuses()

    assert (known.reference, known.state) == (reference.label, "well")
    assert (unknown.reference, unknown.source, unknown.state) == ("shop.Order.user", "default", "unknown reference")
    assert (unknown.tombstones.waiting, unknown.tombstones.set_aside) == (1, 0)
    assert "'shop.Order.user'" in unknown.advice


def test_statuses__unreadable(reference: Reference) -> None:
    """An owner that cannot be read is reported once."""
    execute("DROP TABLE switchyard_tombstone")

    assert [each.state for each in statuses()] == ["unreadable"]
