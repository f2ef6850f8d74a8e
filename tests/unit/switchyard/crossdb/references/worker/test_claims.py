"""Batches of tombstones, and how they end."""

from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils import timezone

from accounts.models import User
from config.settings import SWITCHYARD
from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.tombstones import State, Tombstone
from switchyard.crossdb.references.worker import claims

databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)


def keys(batch: list[Tombstone]) -> set[str]:
    """Return the parents' keys of a batch."""
    return {tombstone.parent_key for tombstone in batch}


def older(reference: Reference, seconds: float) -> None:
    """Let the time pass for all tombstones."""
    for tombstone in claims.tombstones(reference):
        past = timedelta(seconds=seconds)
        tombstone.deleted_at, tombstone.due_at = tombstone.deleted_at - past, tombstone.due_at - past
        tombstone.save(using=reference.parent_owner)


@databases
def test_claim__new_tombstones(users: list[User], reference: Reference) -> None:
    """A batch has the deleted parents once: another worker passes them over."""
    User.objects.filter(pk__in=[1, 2]).delete()

    assert keys(claims.claim(reference)) == {"1", "2"}
    assert claims.claim(reference) == []


@databases
def test_claim__lease_of_a_killed_worker(users: list[User], reference: Reference) -> None:
    """A batch that nobody ended can be taken again after its lease."""
    User.objects.filter(pk=1).delete()
    claims.claim(reference)
    older(reference, claims.LEASE.total_seconds() - 5)
    assert claims.claim(reference) == []

    older(reference, 10)

    assert keys(claims.claim(reference)) == {"1"}


@databases
def test_claim__new_ones_before_handled_ones(users: list[User], reference: Reference) -> None:
    """A new tombstone is taken before one that is only looked at again."""
    User.objects.filter(pk=1).delete()
    claims.end(reference, claims.claim(reference), existing=())
    claims.recheck(reference)
    User.objects.filter(pk=2).delete()

    assert keys(claims.claim(reference)) == {"2"}
    assert keys(claims.claim(reference)) == {"1"}


@databases
def test_claim__no_more_than_a_batch(users: list[User], reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch has at most BATCH_SIZE tombstones."""
    monkeypatch.setattr(claims, "BATCH_SIZE", 2)
    User.objects.all().delete()

    assert [len(claims.claim(reference)) for _ in range(4)] == [2, 2, 1, 0]


@databases
def test_end__handled(users: list[User], reference: Reference) -> None:
    """A handled tombstone is due again after a minute at first, and then when it is twice as old."""
    User.objects.filter(pk=1).delete()
    claims.end(reference, claims.claim(reference), existing=())
    (tombstone,) = claims.tombstones(reference)
    assert tombstone.state == State.HANDLED
    assert 55 < (tombstone.due_at - timezone.now()).total_seconds() <= 60

    older(reference, 3_600)
    claims.end(reference, claims.claim(reference), existing=())

    (tombstone,) = claims.tombstones(reference)
    assert 3_590 < (tombstone.due_at - timezone.now()).total_seconds() <= 3_610


@databases
def test_end__near_the_end_of_the_retention(users: list[User], reference: Reference) -> None:
    """The last look comes at the end of the retention, so that it finds every child that came before."""
    User.objects.filter(pk=1).delete()
    older(reference, 6 * 86_400)

    claims.end(reference, claims.claim(reference), existing=())

    (tombstone,) = claims.tombstones(reference)
    assert 86_390 < (tombstone.due_at - timezone.now()).total_seconds() <= 86_400


@databases
def test_end__after_the_retention(users: list[User], reference: Reference) -> None:
    """A tombstone that is as old as TOMBSTONE_RETENTION is removed."""
    User.objects.filter(pk=1).delete()
    batch = claims.claim(reference)

    with override_settings(SWITCHYARD={**SWITCHYARD, "TOMBSTONE_RETENTION": timedelta(0)}):
        claims.end(reference, batch, existing=())

    assert not claims.tombstones(reference).exists()


@databases
def test_end__parent_exists(users: list[User], reference: Reference) -> None:
    """The tombstone of an existing parent is removed: its next deletion leaves a new one."""
    User.objects.filter(pk__in=[1, 2]).delete()

    claims.end(reference, claims.claim(reference), existing={"1"})

    assert keys(list(claims.tombstones(reference))) == {"2"}


@databases
def test_fail__until_set_aside(users: list[User], reference: Reference) -> None:
    """Each failure doubles the pause; the tenth one sets the tombstone aside, and `retry()` brings it back."""
    User.objects.filter(pk=1).delete()
    pauses = []
    for _ in range(claims.MAX_ATTEMPTS):
        (tombstone,) = claims.tombstones(reference)
        is_last = claims.fail(reference, tombstone, ValueError("a value of a row"))
        (tombstone,) = claims.tombstones(reference)
        pauses.append(round((tombstone.due_at - timezone.now()).total_seconds()))

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert is_last
    assert (tombstone.state, tombstone.error) == (State.SET_ASIDE, "ValueError")
    assert claims.claim(reference) == []
    assert claims.retry(reference) == 1
    assert keys(claims.claim(reference)) == {"1"}
