"""Read-only transactions on a real standby, a MySQL replica and their owners: one snapshot, enforced by the server."""

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
    """Change the row on owner and replica, without this process."""
    servers.ask(row.owner, f"UPDATE {row.objects.model._meta.db_table} SET email = '{NEW}'")
    servers.caught_up(row.replica)


@pytest.mark.parametrize("where", ["owner", "replica"])
def test_read_only__what_no_guard_sees(row: ReplicatedRow, where: str) -> None:
    """The server refuses a write that the guard cannot see, inside the block."""
    alias = getattr(row, where)
    with read_only(alias) as found, connections[alias].connection.cursor() as cursor:
        assert found == alias
        with pytest.raises(REFUSED[connections[alias].vendor], match=r"(?i)read[- ]only"):
            cursor.execute(f"UPDATE {row.objects.model._meta.db_table} SET email = '{NEW}'")

    assert row.objects.using(row.owner).get().email == OLD
    assert row.objects.using(row.owner).update(email=NEW) == 1


@pytest.mark.parametrize("where", ["owner", "replica"])
def test_read_only__one_snapshot(both_vendors: Servers, row: ReplicatedRow, where: str) -> None:
    """All reads of a block see the snapshot of its first read; the next block sees the new row."""
    alias = getattr(row, where)
    with read_only(alias), assert_queries(**{alias: 2}):
        before = row.email()
        change(both_vendors, row)
        after = row.email()
    with read_only(alias):
        later = row.email()

    assert (before, after, later) == (OLD, OLD, NEW)


def test_read_only__use_primary_in_it(both_vendors: Servers, row: ReplicatedRow) -> None:
    """Inside the block, use_primary() reads the owner outside the snapshot."""
    with read_only(row.replica):
        row.email()
        change(both_vendors, row)
        with use_primary():
            fresh = row.email()
        held = row.email()

    assert (fresh, held) == (NEW, OLD)


def test_read_only__the_session_afterwards(row: ReplicatedRow) -> None:
    """The next transaction on the owner has its settings from before: not read-only, with the usual isolation."""
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
    """Close the driver's connection without Django."""
    connections[alias].ensure_connection()
    connections[alias].connection.close()


def test_read_only__a_replica_that_is_lost(row: ReplicatedRow) -> None:
    """A block on the lost replica fails, because a block never moves; a new block begins on the owner."""
    with pytest.raises((OperationalError, InterfaceError)), read_only(row.replica):  # noqa: PT012 - the connection is lost in the block
        lose(row.replica)
        row.email()

    lose(row.replica)
    with read_only(row.replica) as alias:
        assert (alias, row.email()) == (row.owner, OLD)
