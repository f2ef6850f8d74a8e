"""Positions that real owners give, beside what a question to all of the server says."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from tests.support.containers import until
from tests.support.servers import Servers

from switchyard.positions import Dialect, dialect_for

pytestmark = pytest.mark.docker

MAKE = "CREATE TABLE IF NOT EXISTS noted (n int)", "DROP TABLE noted"


@contextmanager
def asking(servers: Servers, alias: str) -> Iterator[tuple[Any, Dialect]]:
    """Yield a cursor of the server's, and the way to ask it."""
    vendor = "postgresql" if servers.by_alias[alias].vendor.scheme == "postgresql" else "mysql"
    with closing(servers.admin(alias)) as connection, closing(connection.cursor()) as cursor:
        yield cursor, dialect_for(vendor, connection)


@pytest.mark.parametrize("alias", ["default", "legacy"])
def test_written__between_two_answers(servers: Servers, alias: str) -> None:
    """It is behind nothing that was there before, and ahead of nothing that is there afterwards."""
    servers.ask(alias, *MAKE)
    with asking(servers, alias) as (cursor, dialect):
        before = dialect.status(cursor).position
        written = dialect.current_position(cursor)
        after = dialect.status(cursor).position

    assert before is not None
    assert after is not None
    assert written.includes(before)
    assert after.includes(written)


def test_written__a_new_segment(servers: Servers) -> None:
    """Where the log ends behind a segment's header, an idle primary's standby is not waited for in vain."""
    with asking(servers, "default") as (cursor, dialect), asking(servers, "replica") as (replica, _):

        def inserted() -> str:
            cursor.execute("SELECT pg_current_wal_insert_lsn()::text")
            return str(cursor.fetchone()[0])

        def at_a_header() -> Any:
            servers.ask("default", *MAKE, "SELECT pg_switch_wal()")
            place, written = inserted(), dialect.current_position(cursor)
            return written if place == inserted() and place.endswith("000028") else None  # else the server wrote itself

        while (written := at_a_header()) is None:
            pass

        def replayed() -> bool:
            position = dialect.status(replica).position
            return position is not None and position.includes(written)

        until(replayed, f"the standby has {written.text()}", seconds=5)

    assert written.text().endswith("000000")


def test_written__on_a_standby(servers: Servers) -> None:
    """The server itself refuses to say what it has written: nothing."""
    with asking(servers, "replica") as (cursor, dialect), pytest.raises(psycopg.Error, match="recovery is in progress"):
        dialect.current_position(cursor)
