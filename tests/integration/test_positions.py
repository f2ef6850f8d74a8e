"""Positions of real servers: the owner's position after a write, beside the status of owner and replica."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from tests.support.servers import Servers
from tests.support.waiting import until

from accounts.models import User
from legacy.models import Customer
from switchyard.positions import Dialect, dialect_for

pytestmark = pytest.mark.docker

WRITE = "CREATE TABLE IF NOT EXISTS noted (n int)", "DROP TABLE noted"


@contextmanager
def cursor_of(servers: Servers, alias: str) -> Iterator[tuple[Any, Dialect]]:
    """Yield a cursor on the server, and its dialect."""
    vendor = "postgresql" if servers.by_alias[alias].vendor.scheme == "postgresql" else "mysql"
    with closing(servers.admin(alias)) as connection, closing(connection.cursor()) as cursor:
        yield cursor, dialect_for(vendor, connection)


@pytest.mark.parametrize("alias", ["default", "legacy"])
def test_current_position__between_two_statuses(servers: Servers, alias: str) -> None:
    """The position includes the position of an earlier status, and a later status includes it."""
    servers.ask(alias, *WRITE)
    with cursor_of(servers, alias) as (cursor, dialect):
        before = dialect.status(cursor).position
        written = dialect.current_position(cursor)
        after = dialect.status(cursor).position

    assert before is not None
    assert after is not None
    assert written.includes(before)
    assert after.includes(written)


def test_current_position__new_segment(servers: Servers) -> None:
    """The standby of an idle primary reaches the position, also if the log ends after the header of a segment."""
    with cursor_of(servers, "default") as (cursor, dialect), cursor_of(servers, "replica") as (replica, _):

        def inserted() -> str:
            cursor.execute("SELECT pg_current_wal_insert_lsn()::text")
            return str(cursor.fetchone()[0])

        def written_at_a_header() -> Any:
            servers.ask("default", *WRITE, "SELECT pg_switch_wal()")
            lsn, written = inserted(), dialect.current_position(cursor)
            return (
                written if lsn == inserted() and lsn.endswith("000028") else None
            )  # None: the server wrote on its own

        while (written := written_at_a_header()) is None:
            pass

        def replayed() -> bool:
            position = dialect.status(replica).position
            return position is not None and position.includes(written)

        until(replayed, f"the standby has {written.text()}", seconds=5)

    assert written.text().endswith("000000")


def test_current_position__on_a_standby(servers: Servers) -> None:
    """A standby has written nothing, and raises an error."""
    with (
        cursor_of(servers, "replica") as (cursor, dialect),
        pytest.raises(psycopg.Error, match="recovery is in progress"),
    ):
        dialect.current_position(cursor)


def test_standby__shows_a_row_after_its_replay(real_databases: Servers) -> None:
    """A standby shows a row of its primary after the replay; the MySQL server has tables of its own."""
    with real_databases.held_back("replica"):
        User.objects.create(username="ada")
        assert not User.objects.using("replica").exists()
    real_databases.caught_up("replica")

    assert User.objects.using("replica").get().username == "ada"
    assert not Customer.objects.using("legacy").exists()
