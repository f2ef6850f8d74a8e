"""The loop of the worker."""

import logging
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.models.signals import pre_delete
from tests.support.moments import NOON

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.tombstones import State, Tombstone
from switchyard.crossdb.references.worker import claims
from switchyard.crossdb.references.worker.stopping import Stop
from switchyard.crossdb.references.worker.worker import Worker
from switchyard.telemetry import snapshot

databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)
NEVER = Stop()


def run_once(reference: Reference) -> tuple[bool, dict[str, int]]:
    """Run a new worker once; return whether all databases answered, and its totals."""
    worker = Worker([reference])
    return worker.run_once(NEVER), dict(worker.totals[reference.label])


def kept() -> set[int]:
    """Return the users of all events."""
    return set(AnalyticsEvent.objects.values_list("user_id", flat=True))


@databases
@pytest.mark.parametrize("way", ["queryset", "instance", "statement", "key"])
def test_worker__each_way_of_a_deletion(way: str, users: list[User], reference: Reference) -> None:
    """The children go, however the parent went; a new key of the parent counts as its deletion."""
    match way:
        case "queryset":
            User.objects.filter(pk=2).delete()
        case "instance":
            users[1].delete()
        case "statement":
            with connections["default"].cursor() as cursor:
                cursor.execute("DELETE FROM accounts_user WHERE id = 2")
        case "key":
            User.objects.filter(pk=2).update(id=99)

    assert run_once(reference) == (True, {"deleted": 2, "handled": 1})
    assert kept() == {1, 3, 4, 5}


@databases
def test_worker__parent_exists_again(users: list[User], reference: Reference) -> None:
    """The children of a parent that exists again stay, and the tombstone is removed."""
    User.objects.filter(pk=2).delete()
    User.objects.create(pk=2, username="again")

    assert run_once(reference) == (True, {"parent_exists": 1})
    assert kept() == {1, 2, 3, 4, 5}
    assert not claims.tombstones(reference).exists()


@databases
def test_worker__child_comes_later(users: list[User], reference: Reference) -> None:
    """A child that is inserted after its parent was handled goes when the tombstone is looked at again."""
    User.objects.filter(pk=2).delete()
    run_once(reference)
    AnalyticsEvent.objects.create(user_id=2, kind="late", at=NOON)
    assert run_once(reference) == (True, {})

    claims.recheck(reference)

    assert run_once(reference) == (True, {"deleted": 1, "handled": 1})
    assert kept() == {1, 3, 4, 5}


@databases
def test_worker__more_tombstones_than_a_batch(
    users: list[User], reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All batches are handled."""
    monkeypatch.setattr(claims, "BATCH_SIZE", 2)
    User.objects.all().delete()

    assert run_once(reference) == (True, {"deleted": 10, "handled": 5})


@databases
def test_worker__one_child_fails(users: list[User], reference: Reference, caplog: pytest.LogCaptureFixture) -> None:
    """A child that cannot be deleted holds up no other one; its tombstone waits for another attempt."""

    def refuse(instance: AnalyticsEvent, **_signal: Any) -> None:
        if instance.user_id == 3:
            raise RuntimeError("This event stays.")

    pre_delete.connect(refuse, sender=AnalyticsEvent)
    try:
        User.objects.all().delete()
        with caplog.at_level(logging.WARNING, "switchyard"):
            assert run_once(reference) == (True, {"deleted": 8, "handled": 4, "failed": 1})
    finally:
        pre_delete.disconnect(refuse, sender=AnalyticsEvent)

    assert kept() == {3}
    (tombstone,) = claims.tombstones(reference).filter(state=State.WAITING)
    assert (tombstone.parent_key, tombstone.attempts, tombstone.error) == ("3", 1, "RuntimeError")
    assert "analytics.AnalyticsEvent.user 3 could not be reached" in caplog.text


@databases
def test_worker__key_that_is_none(users: list[User], reference: Reference) -> None:
    """A tombstone that holds no key of the parent fails alone."""
    Tombstone.objects.using("default").create(reference=reference.label, parent_key="not a number")
    User.objects.filter(pk=2).delete()

    assert run_once(reference) == (True, {"deleted": 2, "handled": 1, "failed": 1})


@databases
def test_worker__tombstones_of_others(users: list[User], reference: Reference) -> None:
    """A tombstone of a reference that is not installed is left alone."""
    Tombstone.objects.using("default").create(reference="gone.Model.field", parent_key="2")

    assert run_once(reference) == (True, {})
    assert kept() == {1, 2, 3, 4, 5}


@databases
def test_worker__counts(users: list[User], reference: Reference) -> None:
    """Tombstones and children are counted by owners and outcome."""
    owners = ("source", "default"), ("target", "analytics")
    names = {"handled": "switchyard_tombstones_total", "deleted": "switchyard_reference_children_total"}
    before = snapshot()
    User.objects.filter(pk__in=[1, 2]).delete()

    run_once(reference)

    after = snapshot()
    added = {
        outcome: after[key] - before.get(key, 0.0)
        for outcome, name in names.items()
        for key in [(name, (*owners, ("outcome", outcome)))]
    }
    assert added == {"handled": 2, "deleted": 4}


@databases
def test_worker__waits_for_an_owner(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that waits for an owner goes round all the same, so that nobody restarts it, and is not ready yet."""

    def fail(_reference: Reference) -> list[Tombstone]:
        raise OperationalError("The server does not answer.")

    monkeypatch.setattr(claims, "claim", fail)
    worker = Worker([reference])
    assert worker.round(NEVER) == 0
    worker.turned_at = 0.0

    assert worker.round(NEVER) == 0
    assert worker.turned_at > 0.0
    assert not worker.reached


@databases
def test_worker__stopped(users: list[User], reference: Reference) -> None:
    """A worker that is told to stop begins no batch."""
    User.objects.all().delete()
    stop = Stop()
    stop.set()

    Worker([reference]).run(stop)

    assert kept() == {1, 2, 3, 4, 5}
