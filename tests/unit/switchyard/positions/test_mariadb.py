"""The last sequence number of each replication domain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.positions import from_text, to_text
from switchyard.positions.mariadb import Gtids, ask, written

domains = st.dictionaries(st.integers(0, 3), st.tuples(st.integers(1, 2), st.integers(1, 6)), min_size=1)
positions = domains.map(lambda found: Gtids(tuple((domain, *last) for domain, last in sorted(found.items()))))


class Cursor:
    """Answers the one question."""

    def __init__(self, *row: object) -> None:
        self.row = row

    def execute(self, sql: str) -> None:
        assert "@@global.gtid_slave_pos" in sql

    def fetchone(self) -> tuple[object, ...]:
        return self.row


@given(positions)
def test_gtids__as_text(position: Gtids) -> None:
    """They come back from their text as they were."""
    assert from_text(to_text(position)) == position


def test_parse__in_any_order() -> None:
    """The order of the domains says nothing."""
    assert Gtids.parse("1-101-5,0-100-7") == Gtids.parse("0-100-7,1-101-5")


def test_parse__a_domain_twice() -> None:
    """The higher number holds, whichever server wrote it and wherever it stands."""
    assert Gtids.parse("0-2-9,0-1-10,1-1-5") == Gtids.parse("0-1-10,1-1-5") == Gtids.parse("1-1-5,0-1-10,0-2-9")


@given(positions, positions, positions)
def test_covers__is_an_order_of_sequences(one: Gtids, other: Gtids, third: Gtids) -> None:
    """A position covers itself; what covers each other has the same sequences; what covers reaches on."""
    sequences = [{domain: last for domain, _, last in each.domains} for each in (one, other)]

    assert one.covers(one)
    assert (one.covers(other) and other.covers(one)) == (sequences[0] == sequences[1])
    assert not (one.covers(other) and other.covers(third)) or one.covers(third)


def test_covers__a_domain_that_is_missing() -> None:
    """What was written in a domain that the other knows nothing of is not there."""
    assert not Gtids.parse("0-1-9").covers(Gtids.parse("0-1-9,1-1-1"))
    assert Gtids.parse("0-1-9,1-1-1").covers(Gtids.parse("0-1-9"))


def test_foreign_to__no_domain_in_common() -> None:
    """Servers that share a domain can meet, others cannot."""
    assert Gtids.parse("0-1-9").foreign_to(Gtids.parse("1-1-9"))
    assert not Gtids.parse("0-1-9").foreign_to(Gtids.parse("0-2-1,1-1-9"))


def test_ask__owner_and_replica() -> None:
    """An owner is at what it has, a replica at what it replayed, whatever it wrote itself."""
    owner = ask(Cursor("a/3306/1", 0, "0-2-3", "0-1-9,0-2-3"))
    replica = ask(Cursor("b/3306/2", 1, "0-1-8", "0-2-9,0-1-8"))

    assert (owner.follows, owner.writable, owner.position) == (False, True, Gtids.parse("0-1-9"))
    assert (replica.follows, replica.writable, replica.position) == (True, False, Gtids.parse("0-1-8"))


@pytest.mark.parametrize("read_only", ["ON", "NO_LOCK", "NO_LOCK_NO_ADMIN"])
def test_ask__read_only_as_a_word(read_only: str) -> None:
    """Since 12.0 it is a word, and every one but OFF means that the server takes no writes."""
    assert ask(Cursor("b/3306/2", read_only, "0-1-8", "0-1-8")).follows
    assert ask(Cursor("a/3306/1", "OFF", "", "0-1-8")).writable


def test_written__turned_read_only_meanwhile() -> None:
    """What was written before is there, though the server counts as a replica by now."""
    assert written(Cursor("a/3306/1", 1, "0-2-3", "0-1-9,0-2-3")) == Gtids.parse("0-1-9")


def test_written__without_a_log() -> None:
    """There is no position, and the error says what to set."""
    with pytest.raises(ValueError, match="log_bin"):
        written(Cursor("a/3306/1", 0, "0-1-8", ""))
