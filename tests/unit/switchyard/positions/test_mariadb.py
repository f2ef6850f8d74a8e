"""The last sequence number of each replication domain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.positions import parse, serialize
from switchyard.positions.mariadb import MariaDBGtid, current_position, status

domains = st.dictionaries(st.integers(0, 3), st.tuples(st.integers(1, 2), st.integers(1, 6)), min_size=1)
positions = domains.map(lambda found: MariaDBGtid(tuple((domain, *last) for domain, last in sorted(found.items()))))


class Cursor:
    """Answers the one question."""

    def __init__(self, *row: object) -> None:
        self.row = row

    def execute(self, sql: str) -> None:
        assert "@@global.gtid_slave_pos" in sql

    def fetchone(self) -> tuple[object, ...]:
        return self.row


@given(positions)
def test_gtids__as_text(position: MariaDBGtid) -> None:
    """They come back from their text as they were."""
    assert parse(serialize(position)) == position


def test_parse__in_any_order() -> None:
    """The order of the domains says nothing."""
    assert MariaDBGtid.parse("1-101-5,0-100-7") == MariaDBGtid.parse("0-100-7,1-101-5")


def test_parse__a_domain_twice() -> None:
    """The higher number holds, whichever server wrote it and wherever it stands."""
    assert (
        MariaDBGtid.parse("0-2-9,0-1-10,1-1-5")
        == MariaDBGtid.parse("0-1-10,1-1-5")
        == MariaDBGtid.parse("1-1-5,0-1-10,0-2-9")
    )


@given(positions, positions, positions)
def test_covers__is_an_order_of_sequences(one: MariaDBGtid, other: MariaDBGtid, third: MariaDBGtid) -> None:
    """A position covers itself; what covers each other has the same sequences; what covers reaches on."""
    sequences = [{domain: last for domain, _, last in each.domains} for each in (one, other)]

    assert one.includes(one)
    assert (one.includes(other) and other.includes(one)) == (sequences[0] == sequences[1])
    assert not (one.includes(other) and other.includes(third)) or one.includes(third)


def test_covers__a_domain_that_is_missing() -> None:
    """What was written in a domain that the other knows nothing of is not there."""
    assert not MariaDBGtid.parse("0-1-9").includes(MariaDBGtid.parse("0-1-9,1-1-1"))
    assert MariaDBGtid.parse("0-1-9,1-1-1").includes(MariaDBGtid.parse("0-1-9"))


def test_foreign_to__no_domain_in_common() -> None:
    """Servers that share a domain can meet, others cannot."""
    assert MariaDBGtid.parse("0-1-9").different_system(MariaDBGtid.parse("1-1-9"))
    assert not MariaDBGtid.parse("0-1-9").different_system(MariaDBGtid.parse("0-2-1,1-1-9"))


def test_ask__owner_and_replica() -> None:
    """An owner is at what it has, a replica at what it replayed, whatever it wrote itself."""
    owner = status(Cursor("a/3306/1", 0, "0-2-3", "0-1-9,0-2-3"))
    replica = status(Cursor("b/3306/2", 1, "0-1-8", "0-2-9,0-1-8"))

    assert (owner.is_standby, owner.writable, owner.position) == (False, True, MariaDBGtid.parse("0-1-9"))
    assert (replica.is_standby, replica.writable, replica.position) == (True, False, MariaDBGtid.parse("0-1-8"))


@pytest.mark.parametrize("read_only", ["ON", "NO_LOCK", "NO_LOCK_NO_ADMIN"])
def test_ask__read_only_as_a_word(read_only: str) -> None:
    """Since 12.0 it is a word, and every one but OFF means that the server takes no writes."""
    assert status(Cursor("b/3306/2", read_only, "0-1-8", "0-1-8")).is_standby
    assert status(Cursor("a/3306/1", "OFF", "", "0-1-8")).writable


def test_written__turned_read_only_meanwhile() -> None:
    """What was written before is there, though the server counts as a replica by now."""
    assert current_position(Cursor("a/3306/1", 1, "0-2-3", "0-1-9,0-2-3")) == MariaDBGtid.parse("0-1-9")


def test_written__without_a_log() -> None:
    """There is no position, and the error says what to set."""
    with pytest.raises(ValueError, match="log_bin"):
        current_position(Cursor("a/3306/1", 0, "0-1-8", ""))
