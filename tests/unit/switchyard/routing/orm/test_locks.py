"""select_for_update() while a transaction is open on a replica, as on a server that has row locks."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.db import connections, transaction
from django.db.models import QuerySet

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.routing.errors import LockOutsideTransactionError

pytestmark = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)

LOCKS: list[Callable[[], QuerySet[User]]] = [
    User.objects.select_for_update,
    lambda: User.objects.filter(username="ada").select_for_update(skip_locked=True),
    lambda: User.objects.all().select_for_update(of=("self",)),
]


@pytest.fixture(autouse=True)
def row_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the embedded databases say that they have row locks; these tests send no locking SQL."""
    for alias in ("default", "analytics"):
        monkeypatch.setattr(connections[alias].features, "has_select_for_update", True)


@pytest.mark.parametrize("lock", LOCKS)
def test_select_for_update__in_a_transaction_on_the_replica(
    lock: Callable[[], QuerySet[User]], seen: list[tuple[str, str]]
) -> None:
    """The lock is refused and counted; the error names both aliases, the app and the setting."""
    with transaction.atomic(using=User.objects.all().db), pytest.raises(LockOutsideTransactionError) as refused:
        lock()

    assert str(refused.value) == (
        "select_for_update() of accounts.User was refused: its rows are locked on 'default', and a transaction is open "
        "only on 'replica', a replica of 'default'. Open it on 'default': `with atomic(using=\"default\")`. "
        "If a package took 'replica' from a read (`atomic(using=queryset.db)`), add 'accounts' to "
        "SWITCHYARD['PRIMARY_ONLY']."
    )
    assert seen == [("replica_write", "replica")]


def test_select_for_update__elsewhere() -> None:
    """The lock is not refused without a transaction, with one on the owner too, for another owner and a named alias."""
    User.objects.select_for_update()
    with transaction.atomic("replica"):
        AnalyticsEvent.objects.select_for_update()
        User.objects.using("replica").select_for_update()
        with transaction.atomic():
            User.objects.select_for_update()
    with transaction.atomic(using=Group.objects.all().db):
        Group.objects.select_for_update()


def test_select_for_update__without_row_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without row locks reads, as Django documents it."""
    monkeypatch.setattr(connections["default"].features, "has_select_for_update", False)
    with transaction.atomic("replica"):
        assert list(User.objects.select_for_update()) == []


@pytest.mark.django_db(databases=["default"])
def test_select_for_update__in_a_testcase() -> None:
    """The transaction of a TestCase on the owner is one to Django, so the lock is not refused."""
    assert connections["default"].in_atomic_block
    User.objects.select_for_update()
