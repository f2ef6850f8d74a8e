"""Cases 1, 2, 3 and 10: transactions, and instances that remember their alias."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import transaction
from tests.support.servers import Servers
from tests.support.watching import NEW, NOON, OLD, SIDES, Side, others

from accounts.models import User
from analytics.models import AnalyticsEvent
from legacy.models import Customer, Order
from switchyard.routing import use_primary, without_stickiness
from switchyard.testing import assert_queries

pytestmark = pytest.mark.docker

OTHER_OWNER = {"default": "analytics", "legacy": "default"}
on_postgresql = pytest.mark.parametrize("side", [SIDES["postgresql"]], ids=["postgresql"])
on_mysql = pytest.mark.parametrize("side", [SIDES["mysql"]], ids=["mysql"])


def rename(side: Side, row: Any) -> None:
    """Change the row on the owner as another client."""
    with others():
        side.on_owner().filter(pk=row.pk).update(email=NEW)


def test_case_1__read_in_a_transaction(watched: Servers, side: Side) -> None:
    """A transaction on the owner reads its own rows; a transaction on another alias changes nothing."""
    with watched.held_back(side.replica), without_stickiness():
        with transaction.atomic(using=side.owner):
            side.create("bob")
            seen = side.get("bob")
        with transaction.atomic(using=OTHER_OWNER[side.owner]):
            outside = side.exists("bob")

    assert seen._state.db == side.owner
    assert not outside


def test_case_1__without_autocommit(watched: Servers, side: Side) -> None:
    """A transaction without `atomic()` counts as well."""
    with watched.held_back(side.replica), without_stickiness():
        transaction.set_autocommit(False, using=side.owner)
        try:
            side.create("bob")
            seen = side.get("bob")
        finally:
            transaction.rollback(using=side.owner)
            transaction.set_autocommit(True, using=side.owner)

    assert seen._state.db == side.owner


def test_case_1__override(watched: Servers, side: Side) -> None:
    """use_primary() reads rows from the owner that the replica has not replayed."""
    with watched.held_back(side.replica), without_stickiness():
        side.create("bob")
        with use_primary():
            assert side.get("bob")._state.db == side.owner
        assert not side.exists("bob")


def test_case_2__refresh(watched: Servers, side: Side, ada: Any) -> None:
    """refresh_from_db() of an instance from the owner reads the owner."""
    with watched.held_back(side.replica):
        rename(side, ada)
        ada.refresh_from_db()

    assert ada.email == NEW


def test_case_2__refresh_of_what_the_replica_gave(watched: Servers, side: Side, ada: Any) -> None:
    """refresh_from_db() of an instance from the replica reads the replica, unless a position is required."""
    loaded = side.get("ada")
    with watched.held_back(side.replica):
        rename(side, ada)
        loaded.refresh_from_db()
        late = loaded.email
        side.create("bob")
        loaded.refresh_from_db()

    assert (late, loaded.email) == (OLD, NEW)


def test_case_2__deferred_field(watched: Servers, side: Side, ada: Any) -> None:
    """A deferred field of an instance from the owner is read from the owner."""
    with watched.held_back(side.replica):
        deferred = side.on_owner().defer("email").get()
        rename(side, ada)
        with assert_queries(**{side.owner: 1}):
            email = deferred.email

    assert email == NEW


@on_postgresql
def test_case_2__related_manager(watched: Servers, side: Side, ada: Any) -> None:
    """A related manager of an instance from the owner reads the owner."""
    with watched.held_back():
        with others():
            Group.objects.create(name="staff").user_set.add(ada)

        assert [group.name for group in ada.groups.all()] == ["staff"]


def test_case_2__relations_on_mysql(watched: Servers) -> None:
    """A forward relation and its reverse are read from the alias of the instance: the owner or the replica."""
    with watched.held_back("legacyreplica"):
        with others():
            customer = Customer.objects.create(name="Ada", email=OLD, created_at=NOON)
            Order.objects.create(customer=customer, placed_at=NOON, total_cents=5)
        with assert_queries(legacy=3):
            order = Order.objects.using("legacy").get()
            assert order.customer == customer
            assert list(customer.orders.all()) == [order]
    watched.caught_up("legacyreplica")
    Customer.objects.using("legacyreplica").exists()  # Django sends its first queries about MySQL itself

    with assert_queries(legacyreplica=3):
        assert list(Order.objects.get().customer.orders.all()) == [order]


@on_postgresql
def test_case_2__child_of_another_owner(watched: Servers, ada: Any) -> None:
    """The hint of an instance from `default` sends no read of `analytics` to `default`."""
    AnalyticsEvent.objects.create(user_id=ada.pk, kind="a", at=NOON)

    with assert_queries(analytics=1):
        assert AnalyticsEvent.objects.db_manager(hints={"instance": ada}).get()._state.db == "analytics"


def test_case_3__save_of_what_the_replica_gave(watched: Servers, side: Side, ada: Any) -> None:
    """save() and delete() of an instance from the replica write on the owner."""
    loaded = side.get("ada")
    assert loaded._state.db == side.replica

    loaded.email = NEW
    with assert_queries(**{side.owner: 1}):
        loaded.save()
    assert side.on_owner().get().email == NEW

    watched.caught_up(side.replica)
    with others():
        loaded = side.get("ada")
    assert loaded._state.db == side.replica
    loaded.delete()
    assert not side.on_owner().exists()


@on_postgresql
def test_case_10__parent_from_the_replica(watched: Servers, side: Side, ada: Any) -> None:
    """An instance from the standby can be assigned to an instance from the owner: both are of one replication set."""
    parent = User.objects.get(pk=ada.pk)
    group = Group.objects.create(name="staff")

    parent.groups.add(group)

    assert parent._state.db == "replica"
    assert group.user_set.using("default").get() == ada


@on_mysql
def test_case_10__parent_from_the_mysql_replica(watched: Servers, side: Side, ada: Any) -> None:
    """On MySQL, an instance from the replica can be assigned to a foreign key as well."""
    parent = Customer.objects.get(pk=ada.pk)
    stored = Order.objects.create(customer=ada, placed_at=NOON, total_cents=5)

    stored.customer = parent
    stored.save()

    assert parent._state.db == "legacyreplica"
    assert Order.objects.using("legacy").get().customer_id == ada.pk
