"""The policy `redirect` of `replica_write`: a write of the ORM on a replica goes to the owner of the model."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models import Model, QuerySet
from django.test import override_settings

from accounts.models import User
from analytics.models import AnalyticsEvent
from config.settings import SWITCHYARD
from switchyard.routing.errors import ReplicaLockError, ReplicaWriteError, RoutingError
from switchyard.routing.orm import redirected_writes

pytestmark = pytest.mark.django_db(databases=["default", "replica", "analytics", "legacy"], transaction=True)


def given(policy: Any) -> override_settings:
    """Set the policy `replica_write` in a block."""
    return override_settings(SWITCHYARD={**SWITCHYARD, "POLICIES": {"replica_write": policy}})


@pytest.fixture
def redirecting() -> Iterator[None]:
    """Redirect the writes of the app `accounts`."""
    with given({"accounts": "redirect"}):
        yield


@pytest.fixture
def ada() -> User:
    """Return a user that was read from the replica."""
    User.objects.create(username="ada")
    return User.objects.using("replica").get()


def reading() -> QuerySet[User]:
    """Return a queryset as packages make them: with the alias that the router chose for a read."""
    alias = User.objects.all().db
    assert alias == "replica"
    return User.objects.using(alias)


def bulk_update(users: QuerySet[User], ada: User) -> None:
    ada.username = "eve"
    users.bulk_update([ada], ["username"])


def save(ada: User, **options: Any) -> None:
    ada.username = "eve"
    ada.save(using=reading().db, **options)


# How packages write with the alias of a read, and the names of the users afterwards.
WRITES: dict[str, tuple[Callable[[User], object], list[str]]] = {
    "create": (lambda _ada: reading().create(username="bob"), ["ada", "bob"]),
    "get_or_create": (lambda _ada: reading().get_or_create(username="bob"), ["ada", "bob"]),
    "get_or_create that finds": (lambda _ada: reading().get_or_create(username="ada"), ["ada"]),
    "update_or_create": (lambda _ada: reading().update_or_create({"username": "eve"}, username="ada"), ["eve"]),
    "update": (lambda _ada: reading().update(username="eve"), ["eve"]),
    "delete": (lambda _ada: reading().delete(), []),
    "delete of a filter": (lambda _ada: reading().filter(username="ada").delete(), []),
    "bulk_create": (lambda _ada: reading().bulk_create([User(username="bob")]), ["ada", "bob"]),
    "bulk_update": (lambda ada: bulk_update(reading(), ada), ["eve"]),
    "a manager": (lambda _ada: User.objects.db_manager(User.objects.db).update(username="eve"), ["eve"]),
    "create_user of a manager": (
        lambda _ada: User.objects.db_manager(User.objects.db).create_user("bob"),  # type: ignore[attr-defined]
        ["ada", "bob"],
    ),
    "save": (save, ["eve"]),
    "save of some fields": (lambda ada: save(ada, update_fields=["username"]), ["eve"]),
    "save of a new instance": (lambda _ada: User(username="bob").save(using=reading().db), ["ada", "bob"]),
    "save_base": (lambda ada: ada.save_base(using=ada._state.db), ["ada"]),
    "save of a deserialized instance": (lambda ada: Model.save_base(ada, using=ada._state.db, raw=True), ["ada"]),
    "delete of an instance": (lambda ada: ada.delete(using=ada._state.db), []),
}


@pytest.mark.usefixtures("redirecting")
@pytest.mark.parametrize("write", WRITES)
def test_redirect__writes(write: str, ada: User, seen: list[tuple[str, str]]) -> None:
    """The write reaches the owner, and is no violation."""
    method, expected = WRITES[write]
    method(ada)

    assert sorted(User.objects.using("default").values_list("username", flat=True)) == expected
    assert seen == []


@pytest.mark.parametrize("write", [write for write in WRITES if "finds" not in write])
def test_raise__writes(write: str, ada: User) -> None:
    """By default, and with a policy for another app, the write is refused."""
    with pytest.raises(ReplicaWriteError):
        WRITES[write][0](ada)
    with given({"legacy": "redirect"}), pytest.raises(ReplicaWriteError):
        WRITES[write][0](ada)

    assert User.objects.using("default").get().username == "ada"


@pytest.mark.usefixtures("redirecting")
def test_redirect__the_instance_belongs_to_the_owner(ada: User) -> None:
    """After the write the instance is one of the owner, so that its relations are read there."""
    ada.save(using="replica")
    (bob,) = reading().bulk_create([User(username="bob")])

    assert (ada._state.db, bob._state.db) == ("default", "default")
    assert reading().create(username="eve")._state.db == "default"


@pytest.mark.usefixtures("redirecting")
def test_redirect__reads(ada: User) -> None:
    """A read stays on the alias of its queryset, until the queryset has written; so Django chooses aliases, too."""
    users = reading()
    assert (users.db, users.get()._state.db, users.exists()) == ("replica", "replica", True)
    users.update(first_name="Ada")

    assert users.db == "default"


@pytest.mark.usefixtures("redirecting")
def test_redirect__in_a_transaction_on_the_replica(ada: User) -> None:
    """The write is refused: on the owner it would not roll back with the transaction of the program."""
    with transaction.atomic("replica"), pytest.raises(ReplicaWriteError, match=r"'PRIMARY_ONLY'"):
        reading().update(first_name="Ada")
    with transaction.atomic("replica"), pytest.raises(ReplicaWriteError):
        ada.save(using="replica")

    assert User.objects.using("default").get().first_name == ""


@pytest.mark.usefixtures("redirecting")
def test_redirect__in_a_transaction_on_the_owner(ada: User) -> None:
    """The write belongs to the transaction, and so does a locking read."""
    users = reading()
    with transaction.atomic():
        users.update(first_name="Ada")
        assert users.select_for_update().get()._state.db == "default"
        transaction.set_rollback(True)

    assert User.objects.using("default").get().first_name == ""


@pytest.mark.usefixtures("redirecting")
def test_redirect__raw_sql(ada: User) -> None:
    """Raw SQL on the replica is refused: its text has no model."""
    with pytest.raises(ReplicaWriteError), connections["replica"].cursor() as cursor:
        cursor.execute("DELETE FROM accounts_user")
    with transaction.atomic("replica"), pytest.raises(ReplicaLockError), connections["replica"].cursor() as cursor:
        cursor.execute("SELECT id FROM accounts_user FOR UPDATE")


def test_redirect__replica_of_another_owner() -> None:
    """A write on the replica of another owner is refused: no read of the model led there."""
    with given("redirect"), pytest.raises(RoutingError, match="Run it on 'analytics'"):
        AnalyticsEvent.objects.using("replica").update(kind="a")


def test_install__with_and_without_a_redirect() -> None:
    """Django's own methods are there again when no policy redirects, so that other projects pay nothing."""

    def replaced() -> list[bool]:
        pairs = ((QuerySet, "db", "_db"), (Model, "save_base", "_save_base"), (Model, "delete", "_delete"))
        return [vars(cls)[name] is not getattr(redirected_writes, djangos) for cls, name, djangos in pairs]

    assert replaced() == [False, False, False]
    for policy in ("redirect", {"accounts": "redirect"}, {"accounts.User": "redirect", "*": "raise"}):
        with given(policy):
            assert replaced() == [True, True, True]
        assert replaced() == [False, False, False]
