"""Read-only transactions on a real standby, a MySQL replica and their owners: held by the server, on one snapshot."""

import MySQLdb
import psycopg
import pytest
from django.db import InterfaceError, OperationalError, connections
from tests.support.servers import Servers
from tests.support.sides import NEW, OLD, Side, both, side

from switchyard.routing import read_only, use_primary
from switchyard.testing import assert_queries

__all__ = ["both", "side"]  # fixtures

pytestmark = pytest.mark.docker

REFUSED = {"postgresql": psycopg.errors.ReadOnlySqlTransaction, "mysql": MySQLdb.OperationalError}


def change(servers: Servers, side: Side) -> None:
    """Change the row behind everybody's back, on both."""
    servers.ask(side.owner, f"UPDATE {side.rows.model._meta.db_table} SET email = '{NEW}'")
    servers.caught_up(side.replica)


@pytest.mark.parametrize("where", ["owner", "replica"])
def test_read_only__what_no_guard_sees(side: Side, where: str) -> None:
    """The server refuses it while the block lasts."""
    alias = getattr(side, where)
    with read_only(alias) as found, connections[alias].connection.cursor() as cursor:
        assert found == alias
        with pytest.raises(REFUSED[connections[alias].vendor], match=r"(?i)read[- ]only"):
            cursor.execute(f"UPDATE {side.rows.model._meta.db_table} SET email = '{NEW}'")

    assert side.rows.using(side.owner).get().email == OLD
    assert side.rows.using(side.owner).update(email=NEW) == 1


@pytest.mark.parametrize("where", ["owner", "replica"])
def test_read_only__one_snapshot(both: Servers, side: Side, where: str) -> None:
    """All reads in it see what the first one saw; the next block, and the owner asked by name, see what is new."""
    alias = getattr(side, where)
    with read_only(alias), assert_queries(**{alias: 2}):
        before = side.email()
        change(both, side)
        after = side.email()
    with read_only(alias):
        later = side.email()

    assert (before, after, later) == (OLD, OLD, NEW)


def test_read_only__use_primary_in_it(both: Servers, side: Side) -> None:
    """It asks the owner, outside the snapshot."""
    with read_only(side.replica):
        side.email()
        change(both, side)
        with use_primary():
            fresh = side.email()
        held = side.email()

    assert (fresh, held) == (NEW, OLD)


def test_read_only__the_session_afterwards(side: Side) -> None:
    """The next transaction on the owner is as it was before: not read-only, and of the usual isolation."""
    shown = {
        "postgresql": "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')",
        "mysql": "SELECT @@transaction_isolation, @@transaction_read_only",
    }[connections[side.owner].vendor]
    with connections[side.owner].cursor() as cursor:
        cursor.execute(shown)
        before = cursor.fetchone()
        with read_only(side.owner):
            pass
        cursor.execute(shown)

        assert cursor.fetchone() == before


def lose(alias: str) -> None:
    """Let the connection be lost without Django's knowing."""
    connections[alias].ensure_connection()
    connections[alias].connection.close()


def test_read_only__a_replica_that_is_lost(side: Side) -> None:
    """A block that is on it fails, because it never moves; one that begins is on the owner."""
    with pytest.raises((OperationalError, InterfaceError)), read_only(side.replica):  # noqa: PT012 - lost in between
        lose(side.replica)
        side.email()

    lose(side.replica)
    with read_only(side.replica) as alias:
        assert (alias, side.email()) == (side.owner, OLD)
