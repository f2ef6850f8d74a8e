"""Read-only transactions on a real standby, a MySQL replica and their owners: held by the server, on one snapshot."""

import MySQLdb
import psycopg
import pytest
from django.db import InterfaceError, OperationalError, connections
from tests.support.replicated_row import NEW, OLD, ReplicatedRow, both_vendors, row
from tests.support.servers import Servers

from switchyard.routing import read_only, use_primary
from switchyard.testing import assert_queries

__all__ = ["both_vendors", "row"]  # fixtures

pytestmark = pytest.mark.docker

REFUSED = {"postgresql": psycopg.errors.ReadOnlySqlTransaction, "mysql": MySQLdb.OperationalError}


def change(servers: Servers, row: ReplicatedRow) -> None:
    """Change the row behind everybody's back, on both."""
    servers.ask(row.owner, f"UPDATE {row.objects.model._meta.db_table} SET email = '{NEW}'")
    servers.caught_up(row.replica)


@pytest.mark.parametrize("where", ["owner", "replica"])
def test_read_only__what_no_guard_sees(row: ReplicatedRow, where: str) -> None:
    """The server refuses it while the block lasts."""
    alias = getattr(row, where)
    with read_only(alias) as found, connections[alias].connection.cursor() as cursor:
        assert found == alias
        with pytest.raises(REFUSED[connections[alias].vendor], match=r"(?i)read[- ]only"):
            cursor.execute(f"UPDATE {row.objects.model._meta.db_table} SET email = '{NEW}'")

    assert row.objects.using(row.owner).get().email == OLD
    assert row.objects.using(row.owner).update(email=NEW) == 1


@pytest.mark.parametrize("where", ["owner", "replica"])
def test_read_only__one_snapshot(both_vendors: Servers, row: ReplicatedRow, where: str) -> None:
    """All reads in it see what the first one saw; the next block, and the owner asked by name, see what is new."""
    alias = getattr(row, where)
    with read_only(alias), assert_queries(**{alias: 2}):
        before = row.email()
        change(both_vendors, row)
        after = row.email()
    with read_only(alias):
        later = row.email()

    assert (before, after, later) == (OLD, OLD, NEW)


def test_read_only__use_primary_in_it(both_vendors: Servers, row: ReplicatedRow) -> None:
    """It asks the owner, outside the snapshot."""
    with read_only(row.replica):
        row.email()
        change(both_vendors, row)
        with use_primary():
            fresh = row.email()
        held = row.email()

    assert (fresh, held) == (NEW, OLD)


def test_read_only__the_session_afterwards(row: ReplicatedRow) -> None:
    """The next transaction on the owner is as it was before: not read-only, and of the usual isolation."""
    shown = {
        "postgresql": "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')",
        "mysql": "SELECT @@transaction_isolation, @@transaction_read_only",
    }[connections[row.owner].vendor]
    with connections[row.owner].cursor() as cursor:
        cursor.execute(shown)
        before = cursor.fetchone()
        with read_only(row.owner):
            pass
        cursor.execute(shown)

        assert cursor.fetchone() == before


def lose(alias: str) -> None:
    """Let the connection be lost without Django's knowing."""
    connections[alias].ensure_connection()
    connections[alias].connection.close()


def test_read_only__a_replica_that_is_lost(row: ReplicatedRow) -> None:
    """A block that is on it fails, because it never moves; one that begins is on the owner."""
    with pytest.raises((OperationalError, InterfaceError)), read_only(row.replica):  # noqa: PT012 - lost in between
        lose(row.replica)
        row.email()

    lose(row.replica)
    with read_only(row.replica) as alias:
        assert (alias, row.email()) == (row.owner, OLD)
