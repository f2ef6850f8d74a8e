"""Take batches of tombstones, and write down how they ended. Each function changes the tombstones of one reference."""

from collections.abc import Collection, Sequence
from datetime import timedelta

from django.db import connections, transaction
from django.db.models import QuerySet
from django.utils import timezone

from switchyard.conf import conf
from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.tombstones import State, Tombstone
from switchyard.crossdb.references.unknown import UnknownReference

BATCH_SIZE = 1_000  # tombstones
LEASE = timedelta(seconds=30)  # after which another worker takes the batch of a worker that was killed
FIRST_RECHECK = timedelta(seconds=60)
MAX_ATTEMPTS = 10
_FIRST_RETRY, _LAST_RETRY = timedelta(seconds=1), timedelta(minutes=10)


def tombstones(reference: Reference | UnknownReference) -> QuerySet[Tombstone]:
    """Return the tombstones of the reference on the parent's owner."""
    return Tombstone.objects.using(reference.parent_owner).filter(reference=reference.label)


def claim(reference: Reference) -> list[Tombstone]:
    """Take a batch of tombstones that are due: new ones first. Other workers pass it over until its lease ends.

    The work itself holds no transaction on the parent's owner, and each of its reads sees the newest rows, at any
    isolation level. One query if nothing is due.
    """
    states, now = (State.WAITING, State.HANDLED), timezone.now()
    if not tombstones(reference).filter(state__in=states, due_at__lte=now).exists():
        return []
    features = connections[reference.parent_owner].features
    for state in states:
        with transaction.atomic(using=reference.parent_owner):
            due = tombstones(reference).filter(state=state, due_at__lte=now).order_by("due_at")
            locked = due.select_for_update(skip_locked=features.has_select_for_update_skip_locked)
            if batch := list(locked[:BATCH_SIZE]):
                _of(reference, batch).update(due_at=timezone.now() + LEASE)
                return batch
    return []


def end(reference: Reference, batch: Sequence[Tombstone], *, existing: Collection[str]) -> None:
    """Keep handled tombstones for children that come later; remove those that are old, and those of existing parents.

    The next look at a tombstone comes when it is twice as old, so that it is looked at some fifteen times in a week.
    The last look comes at the end of the retention.
    """
    retention = conf.tombstone_retention
    kept, removed, age = [], [], retention  # the age of the youngest that is kept
    for each in batch:
        own_age = timedelta(seconds=each.age_seconds)
        if own_age < retention and each.parent_key not in existing:
            kept.append(each)
            age = min(age, own_age)
        else:
            removed.append(each)
    _of(reference, removed).delete()
    if kept:
        pause = max(FIRST_RECHECK, min(age, retention - age))
        _of(reference, kept).update(state=State.HANDLED, due_at=timezone.now() + pause, attempts=0, error="")


def fail(reference: Reference, tombstone: Tombstone, error: Exception) -> bool:
    """Write down that an attempt failed, and return True if the tombstone is now set aside."""
    attempts = tombstone.attempts + 1
    is_last = attempts >= MAX_ATTEMPTS
    _of(reference, [tombstone]).update(
        attempts=attempts,
        error=type(error).__name__,  # the text of an error may hold values of rows
        due_at=timezone.now() + min(_FIRST_RETRY * 2**tombstone.attempts, _LAST_RETRY),
        **({"state": State.SET_ASIDE} if is_last else {}),
    )
    return is_last


def recheck(reference: Reference) -> int:
    """Make all handled tombstones due now, and return their number."""
    return tombstones(reference).filter(state=State.HANDLED).update(due_at=timezone.now())


def retry(reference: Reference) -> int:
    """Give the tombstones that were set aside new attempts, and return their number."""
    set_aside = tombstones(reference).filter(state=State.SET_ASIDE)
    return set_aside.update(state=State.WAITING, attempts=0, due_at=timezone.now())


def _of(reference: Reference, batch: Sequence[Tombstone]) -> QuerySet[Tombstone]:
    return Tombstone.objects.using(reference.parent_owner).filter(pk__in=[each.pk for each in batch])
