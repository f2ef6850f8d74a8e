"""The numbered cases of routing that a textbook router gets wrong, against a real standby and MySQL.

`held_back()` keeps the standby from replaying: what is read in such a block and is new came from the owner. Case 16 is
in test_migrate.py.
"""

import datetime as dt
from collections.abc import Iterator

import psycopg
import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.db import connections, transaction
from django.db.models import Exists, OuterRef
from tests.integration.servers import Servers

from accounts.models import User
from analytics.models import AnalyticsEvent
from legacy.models import Customer, Order
from reporting.models import AnalyticsReport
from switchyard.routing import RoutingError, allow_writes, use_primary, without_stickiness
from switchyard.routing.state import task, within
from switchyard.testing import assert_queries

pytestmark = pytest.mark.docker

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def own_state() -> Iterator[None]:
    """Let no test owe what another one wrote."""
    with within(task()):
        yield


@pytest.fixture
def ada(real_databases: Servers) -> User:
    """A user whom both the owner and the standby have."""
    with without_stickiness():
        user = User.objects.create(username="ada", email="old@example.org")
    real_databases.caught_up()
    return user


def rename(user: User) -> None:
    """Change the row on the owner behind the instance's back."""
    User.objects.using("default").filter(pk=user.pk).update(email="new@example.org")


def test_case_1__read_in_a_transaction(real_databases: Servers) -> None:
    """Inside atomic() on the owner its own rows are seen; one on another alias changes nothing."""
    with real_databases.held_back():
        with without_stickiness(), transaction.atomic(using="default"):
            User.objects.create(username="bob")
            seen = User.objects.get(username="bob")
        with transaction.atomic(using="analytics"):
            outside = User.objects.filter(username="bob").exists()

    assert seen._state.db == "default"
    assert not outside


def test_case_1__override(real_databases: Servers) -> None:
    """use_primary() reads from the owner what the standby has not replayed."""
    with real_databases.held_back(), without_stickiness():
        User.objects.create(username="bob")
        with use_primary():
            assert User.objects.get(username="bob")._state.db == "default"
        assert not User.objects.filter(username="bob").exists()


def test_case_2__refresh(real_databases: Servers, ada: User) -> None:
    """refresh_from_db() of an instance that the owner stored sees the owner's row."""
    with real_databases.held_back():
        rename(ada)
        ada.refresh_from_db()

    assert ada.email == "new@example.org"


def test_case_2__deferred_field(real_databases: Servers, ada: User) -> None:
    """A deferred field of an instance from the owner is loaded from the owner."""
    with real_databases.held_back():
        deferred = User.objects.using("default").defer("email").get()
        rename(ada)
        with assert_queries(default=1):
            email = deferred.email

    assert email == "new@example.org"


def test_case_2__related_manager(real_databases: Servers, ada: User) -> None:
    """A related manager of an instance from the owner reads the owner."""
    with real_databases.held_back():
        ada.groups.add(Group.objects.create(name="staff"))

        assert [group.name for group in ada.groups.all()] == ["staff"]


def test_case_2__relation_on_mysql(real_databases: Servers) -> None:
    """A forward relation and its reverse stay on the alias of their models."""
    with allow_writes("legacy", reason="a test"):
        customer = Customer.objects.create(name="Ada", email="a@example.org", created_at=NOON)
        Order.objects.create(customer=customer, placed_at=NOON, total_cents=5)

    with assert_queries(legacy=3):
        order = Order.objects.get()
        assert order.customer == customer
        assert list(customer.orders.all()) == [order]


def test_case_3__save_of_what_the_replica_gave(real_databases: Servers, ada: User) -> None:
    """save() and delete() of an instance from the standby are writes of the owner."""
    loaded = User.objects.get(pk=ada.pk)
    assert loaded._state.db == "replica"

    loaded.email = "new@example.org"
    loaded.save()
    assert User.objects.using("default").get().email == "new@example.org"

    real_databases.caught_up()
    User.objects.get(pk=ada.pk).delete()
    assert not User.objects.using("default").exists()


def test_case_5__writes_that_read_first(real_databases: Servers) -> None:
    """get_or_create and update_or_create look on the owner, where the row is."""
    with real_databases.held_back():
        bob = User.objects.create(username="bob")

        found, created = User.objects.get_or_create(username="bob")
        updated, added = User.objects.update_or_create(username="bob", defaults={"email": "b@example.org"})

    assert (created, added) == (False, False)
    assert found == updated == bob
    assert updated._state.db == "default"


def test_case_5__bulk(real_databases: Servers) -> None:
    """update, bulk_create and bulk_update write on the owner."""
    with real_databases.held_back():
        users = User.objects.bulk_create([User(username="bob"), User(username="eve")])
        for user in users:
            user.email = f"{user.username}@example.org"
        User.objects.bulk_update(users, ["email"])
        assert User.objects.update(first_name="x") == 2

    assert User.objects.using("default").filter(first_name="x", email="eve@example.org").count() == 1


def test_case_5__lock(real_databases: Servers, ada: User) -> None:
    """select_for_update locks on the owner, and is refused on the replica before any SQL."""
    with transaction.atomic():
        assert User.objects.select_for_update().get(pk=ada.pk)._state.db == "default"

    with (
        assert_queries(),
        pytest.raises(RoutingError, match="Lock it on 'default'"),
        transaction.atomic(using="replica"),
    ):
        User.objects.using("replica").select_for_update().get(pk=ada.pk)


@pytest.mark.parametrize(
    ("write", "reads"),
    [
        (lambda: User.objects.using("replica").create(username="bob"), 0),
        (lambda: User(username="bob").save(using="replica"), 0),
        (lambda: User.objects.using("replica").update(email=""), 0),
        (lambda: User.objects.using("replica").all().delete(), 1),  # Django looks for what cascades
        (lambda: connections["replica"].cursor().execute("DELETE FROM accounts_user"), 0),
    ],
    ids=["create", "save", "update", "delete", "raw"],
)
def test_case_6__write_to_the_replica(real_databases: Servers, ada: User, write, reads: int) -> None:
    """A write with using("replica") is refused with an error that names the owner, before it is SQL."""
    with assert_queries(replica=reads), pytest.raises(RoutingError, match="'default'"):
        write()

    assert User.objects.using("default").count() == 1


def test_case_6__the_server_refuses_too(real_databases: Servers) -> None:
    """What no guard sees fails on the standby: its session is read-only, and so is the server."""
    connections["replica"].ensure_connection()
    driver = connections["replica"].connection

    assert driver.execute("SHOW transaction_read_only").fetchone() == ("on",)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        driver.execute("DELETE FROM accounts_user")


def test_case_6__legacy(real_databases: Servers) -> None:
    """A write on the read-only MySQL is refused outside allow_writes()."""
    with pytest.raises(RoutingError, match="READ_ONLY"):
        Customer.objects.create(name="Ada", email="a@example.org", created_at=NOON)

    with allow_writes("legacy", reason="a test"):
        Customer.objects.create(name="Ada", email="a@example.org", created_at=NOON)
    assert Customer.objects.count() == 1


def test_case_8__never_stale(real_databases: Servers) -> None:
    """Sessions, permissions, groups and content types are read from the owner, whatever the standby has."""
    with real_databases.held_back():
        session = SessionStore()
        session["user"] = 1
        session.save()
        Group.objects.create(name="staff")

        assert SessionStore(session.session_key)["user"] == 1
        assert Group.objects.get(name="staff")._state.db == "default"
        with assert_queries(default=2):
            Permission.objects.first()
            ContentType.objects.first()


def test_case_10__parent_from_the_replica(real_databases: Servers, ada: User) -> None:
    """An instance from the standby is assigned to one from the owner: they are of one replication set."""
    parent = User.objects.get(pk=ada.pk)
    group = Group.objects.create(name="staff")

    parent.groups.add(group)

    assert parent._state.db == "replica"
    assert group.user_set.using("default").get() == ada


@pytest.mark.parametrize(
    "query",
    [
        lambda: AnalyticsEvent.objects.filter(user_id__in=User.objects.values("pk")),
        lambda: User.objects.filter(Exists(AnalyticsEvent.objects.filter(user_id=OuterRef("pk")))),
        lambda: AnalyticsEvent.objects.values("user_id").union(User.objects.values("pk")),
        lambda: Customer.objects.filter(pk__in=AnalyticsReport.objects.values("events")),
    ],
    ids=["subquery", "exists", "union", "mysql"],
)
def test_case_11__query_across_owners(real_databases: Servers, query) -> None:
    """A query across owners is an error before SQL that names both aliases."""
    Customer.objects.exists()  # Django asks MySQL once what it is
    with assert_queries(), pytest.raises(RoutingError, match=r"(?s)owned by '.*owned by '"):
        list(query())
