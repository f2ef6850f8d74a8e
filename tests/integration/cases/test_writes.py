"""Cases 5 and 6: writes that read first, and writes on a replica."""

from typing import Any

import psycopg
import pytest
from django.db import connections, transaction
from tests.support.servers import Servers
from tests.support.watching import NEW, NOON, Side

from legacy.models import Customer
from switchyard.routing import RoutingError, allow_writes, violations
from switchyard.testing import assert_queries

pytestmark = pytest.mark.docker


def test_case_5__writes_that_read_first(watched: Servers, side: Side) -> None:
    """get_or_create and update_or_create read the owner, which has the row, though no position is required."""
    with watched.held_back(side.replica):
        bob = side.create("bob")
        rows = side.model._default_manager
        missing = {"created_at": NOON} if side.model is Customer else {}

        found, created = rows.get_or_create(**{side.key: "bob"}, defaults=missing)
        updated, added = rows.update_or_create(**{side.key: "bob"}, defaults={"email": NEW} | missing)

    assert (created, added) == (False, False)
    assert found == updated == bob
    assert updated._state.db == side.owner


def test_case_5__bulk(watched: Servers, side: Side) -> None:
    """update, bulk_create and bulk_update write on the owner."""
    missing = {"created_at": NOON} if side.model is Customer else {}
    with watched.held_back(side.replica):
        rows = side.model._default_manager
        rows.bulk_create([side.model(**{side.key: name}, **missing) for name in ("bob", "eve")])
        stored = list(side.on_owner())
        for row in stored:
            row.email = NEW
        rows.bulk_update(stored, ["email"])
        assert rows.update(**{side.key: "x"} if side.model is Customer else {"first_name": "x"}) == 2

    assert side.on_owner().filter(email=NEW).count() == 2


def test_case_5__lock(watched: Servers, side: Side, ada: Any) -> None:
    """select_for_update locks on the owner, and is refused on the replica before any SQL."""
    side.get("ada")  # Django sends its first queries about MySQL itself
    with transaction.atomic(using=side.owner):
        assert side.model._default_manager.select_for_update().get(pk=ada.pk)._state.db == side.owner

    with (
        assert_queries(),
        pytest.raises(RoutingError, match=f"Lock the row on '{side.owner}'"),
        transaction.atomic(using=side.replica),
    ):
        side.model._default_manager.using(side.replica).select_for_update().get(pk=ada.pk)


def raw_delete(side: Side) -> None:
    with connections[side.replica].cursor() as cursor:
        cursor.execute(f"DELETE FROM {side.model._meta.db_table}")


@pytest.mark.parametrize(
    ("write", "reads"),
    [
        (lambda side: side.model._default_manager.using(side.replica).create(pk=7), 0),
        (lambda side: side.model(pk=7).save(using=side.replica, force_insert=True), 0),
        (lambda side: side.model._default_manager.using(side.replica).update(email=""), 0),
        (lambda side: side.model._default_manager.using(side.replica).all().delete(), 1),  # does the deletion cascade?
        (raw_delete, 0),
    ],
    ids=["create", "save", "update", "delete", "raw"],
)
def test_case_6__write_to_the_replica(watched: Servers, side: Side, ada: Any, write: Any, reads: int) -> None:
    """A write with using("replica") is refused before SQL and counted; the error names the owner."""
    side.get("ada")  # Django sends its first queries about MySQL itself
    counted: list[tuple[str, str]] = []

    def count(*, kind: str, alias: str, **_signal: object) -> None:
        counted.append((kind, alias))

    violations.connect(count)
    try:
        with assert_queries(**{side.replica: reads}), pytest.raises(RoutingError, match=f"'{side.owner}'"):
            write(side)
    finally:
        violations.disconnect(count)

    assert side.on_owner().count() == 1
    assert counted == [("replica_write", side.replica)]


def test_case_6__the_server_refuses_too(watched: Servers) -> None:
    """A write that the guard cannot see fails on the standby: its session is read-only, and so is the server."""
    connections["replica"].ensure_connection()
    driver = connections["replica"].connection

    assert driver.execute("SHOW transaction_read_only").fetchone() == ("on",)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        driver.execute("DELETE FROM accounts_user")


def test_case_6__the_mysql_server_refuses_too(watched: Servers) -> None:
    """On MySQL too, a write that the guard cannot see fails: the session on the replica is read-only."""
    drivers = pytest.importorskip("MySQLdb")
    connections["legacyreplica"].ensure_connection()

    with pytest.raises(drivers.OperationalError, match=r"READ ONLY|read-only"):
        connections["legacyreplica"].connection.cursor().execute("DELETE FROM customers")


def test_case_6__legacy(real_databases: Servers) -> None:
    """A write on the read-only MySQL is refused outside allow_writes()."""
    with pytest.raises(RoutingError, match="READ_ONLY"):
        Customer.objects.create(name="Ada", email=NEW, created_at=NOON)

    with allow_writes("legacy", reason="a test"):
        Customer.objects.create(name="Ada", email=NEW, created_at=NOON)
    assert Customer.objects.count() == 1
