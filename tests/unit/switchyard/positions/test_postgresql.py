"""Positions of PostgreSQL: LSNs on a timeline of one system."""

from hypothesis import given
from hypothesis import strategies as st

from switchyard.positions import parse, serialize
from switchyard.positions.mysql import MySQLGtidSet
from switchyard.positions.postgresql import Lsn, replayable_lsn

KIB = 1024
PAGES = [2**power * KIB for power in range(7)]
SEGMENTS = [2**power * KIB * KIB for power in range(11)]

lsns = st.builds(
    Lsn,
    st.sampled_from(["7300000000000000001", "7300000000000000002"]),
    st.integers(1, 3),
    st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1)),
)


@given(lsns)
def test_serialize__any_position(position: Lsn) -> None:
    """The text of a position parses to the same position."""
    assert parse(serialize(position)) == position


def test_text__notation() -> None:
    """The LSN has the notation of the server."""
    assert Lsn("73", 2, (0x16 << 32) + 0xB374D848).text() == "73/2/16/B374D848"


@given(lsns, lsns, lsns)
def test_includes__is_a_partial_order(one: Lsn, other: Lsn, third: Lsn) -> None:
    """A position includes itself; two that include each other are equal; inclusion is transitive."""
    assert one.includes(one)
    assert not (one.includes(other) and other.includes(one)) or one == other
    assert not (one.includes(other) and other.includes(third)) or one.includes(third)


@given(lsns, lsns)
def test_includes__other_system(one: Lsn, other: Lsn) -> None:
    """A position never includes a position of another system."""
    assert one.different_system(other) == (one.system != other.system)
    assert not (one.different_system(other) and one.includes(other))


def test_includes__other_vendor() -> None:
    """A position of another vendor belongs to another system, and is never included."""
    gtids = MySQLGtidSet.parse("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5")
    position = Lsn("73", 1, 5)

    assert not position.includes(gtids)
    assert position.different_system(gtids)
    assert position.bytes_behind(gtids) is None


def test_superseded_by__newer_timeline() -> None:
    """A server on an older timeline of the same system is superseded, even if its LSN is higher."""
    old, new = Lsn("73", 1, 900), Lsn("73", 2, 500)

    assert old.superseded_by(new)
    assert not new.superseded_by(old)
    assert not old.superseded_by(Lsn("74", 2, 500))
    assert not new.includes(old)


def test_after__a_broken_stream() -> None:
    """A standby that has lost its stream stays on the timeline that it was on; another system says nothing."""
    streamed = Lsn("73", 2, 500)

    assert Lsn("73", 1, 600).after(streamed) == Lsn("73", 2, 600)
    assert Lsn("73", 3, 600).after(streamed) == Lsn("73", 3, 600)
    assert Lsn("74", 1, 600).after(streamed) == Lsn("74", 1, 600)


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_bytes_behind__any_lsns(one: int, other: int) -> None:
    """The result is the log between the positions, and never negative."""
    assert Lsn("73", 1, one).bytes_behind(Lsn("73", 1, other)) == max(other - one, 0)


@given(
    page=st.sampled_from(PAGES),
    segment=st.sampled_from(SEGMENTS),
    number=st.integers(1, 2**30),
    behind=st.one_of(st.integers(0, 64), st.integers(0, 64 * KIB)),
)
def test_replayable_lsn__after_a_header(page: int, segment: int, number: int, behind: int) -> None:
    """An LSN right after the header of a page or segment becomes the start of the page; other LSNs do not change."""
    lsn = number * page + behind
    found = replayable_lsn(lsn, page, segment)

    if lsn % segment == 40:
        assert found == lsn - 40
    elif lsn % page == 24:
        assert found == lsn - 24
    else:
        assert found == lsn


@given(page=st.sampled_from(PAGES), segment=st.sampled_from(SEGMENTS), number=st.integers(1, 2**20))
def test_replayable_lsn__both_headers(page: int, segment: int, number: int) -> None:
    """The header of a segment, and the header of a page inside a segment, need no replay."""
    assert replayable_lsn(number * segment + 40, page, segment) == number * segment
    assert replayable_lsn(number * segment + page + 24, page, segment) == number * segment + page
