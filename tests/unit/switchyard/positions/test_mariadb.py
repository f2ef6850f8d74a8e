"""Positions of MariaDB: the last sequence number of each replication domain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.positions import parse, serialize
from switchyard.positions.mariadb import MariaDBGtid, current_position, status

domains = st.dictionaries(st.integers(0, 3), st.tuples(st.integers(1, 2), st.integers(1, 6)), min_size=1)
positions = domains.map(lambda found: MariaDBGtid(tuple((domain, *last) for domain, last in sorted(found.items()))))


class Cursor:
    """A cursor that answers the status query with this row."""

    def __init__(self, *row: object) -> None:
        self.row = row

    def execute(self, sql: str) -> None:
        assert "@@global.gtid_slave_pos" in sql

    def fetchone(self) -> tuple[object, ...]:
        return self.row


@given(positions)
def test_serialize__any_position(position: MariaDBGtid) -> None:
    """The text of a position parses to the same position."""
    assert parse(serialize(position)) == position


def test_parse__any_order() -> None:
    """The order of the domains in the text does not matter."""
    assert MariaDBGtid.parse("1-101-5,0-100-7") == MariaDBGtid.parse("0-100-7,1-101-5")


def test_parse__a_domain_twice() -> None:
    """The higher sequence number counts, whichever server wrote it and in any order."""
    assert (
        MariaDBGtid.parse("0-2-9,0-1-10,1-1-5")
        == MariaDBGtid.parse("0-1-10,1-1-5")
        == MariaDBGtid.parse("1-1-5,0-1-10,0-2-9")
    )


@given(positions, positions, positions)
def test_includes__is_a_partial_order(one: MariaDBGtid, other: MariaDBGtid, third: MariaDBGtid) -> None:
    """A position includes itself; two that include each other have equal numbers; inclusion is transitive."""
    sequences = [{domain: last for domain, _, last in each.domains} for each in (one, other)]

    assert one.includes(one)
    assert (one.includes(other) and other.includes(one)) == (sequences[0] == sequences[1])
    assert not (one.includes(other) and other.includes(third)) or one.includes(third)


def test_includes__missing_domain() -> None:
    """A position does not include writes in a domain that it does not have."""
    assert not MariaDBGtid.parse("0-1-9").includes(MariaDBGtid.parse("0-1-9,1-1-1"))
    assert MariaDBGtid.parse("0-1-9,1-1-1").includes(MariaDBGtid.parse("0-1-9"))


def test_different_system__no_common_domain() -> None:
    """Positions without a common domain belong to different systems."""
    assert MariaDBGtid.parse("0-1-9").different_system(MariaDBGtid.parse("1-1-9"))
    assert not MariaDBGtid.parse("0-1-9").different_system(MariaDBGtid.parse("0-2-1,1-1-9"))


def test_status__owner_and_replica() -> None:
    """The position of an owner is all that it has; of a replica all that it replayed, without its own writes."""
    owner = status(Cursor("a/3306/1", 0, "0-2-3", "0-1-9,0-2-3"))
    replica = status(Cursor("b/3306/2", 1, "0-1-8", "0-2-9,0-1-8"))

    assert (owner.is_standby, owner.writable, owner.position) == (False, True, MariaDBGtid.parse("0-1-9"))
    assert (replica.is_standby, replica.writable, replica.position) == (True, False, MariaDBGtid.parse("0-1-8"))


@pytest.mark.parametrize("read_only", ["ON", "NO_LOCK", "NO_LOCK_NO_ADMIN"])
def test_status__read_only_as_a_word(read_only: str) -> None:
    """Since MariaDB 12.0 read_only is a word: a server with any word but OFF takes no writes."""
    assert status(Cursor("b/3306/2", read_only, "0-1-8", "0-1-8")).is_standby
    assert status(Cursor("a/3306/1", "OFF", "", "0-1-8")).writable


def test_current_position__read_only_since_the_write() -> None:
    """The position includes the earlier writes, though the server counts as a replica now."""
    assert current_position(Cursor("a/3306/1", 1, "0-2-3", "0-1-9,0-2-3")) == MariaDBGtid.parse("0-1-9")


def test_current_position__without_binary_log() -> None:
    """The server has no position, and the error says which option to set."""
    with pytest.raises(ValueError, match="log_bin"):
        current_position(Cursor("a/3306/1", 0, "0-1-8", ""))
