"""Log sequence numbers: compared on the timeline of one system, and taken as they are but for two cases."""

from hypothesis import given
from hypothesis import strategies as st

from switchyard.positions import parse, serialize
from switchyard.positions.mysql import MySQLGtidSet
from switchyard.positions.postgresql import Lsn, reached

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
def test_lsn__as_text(position: Lsn) -> None:
    """It comes back from its text as it was."""
    assert parse(serialize(position)) == position


def test_lsn__notation() -> None:
    """The place is written as the server writes it."""
    assert Lsn("73", 2, (0x16 << 32) + 0xB374D848).text() == "73/2/16/B374D848"


@given(lsns, lsns, lsns)
def test_covers__is_a_partial_order(one: Lsn, other: Lsn, third: Lsn) -> None:
    """A position covers itself; what covers each other is equal; what covers reaches on."""
    assert one.includes(one)
    assert not (one.includes(other) and other.includes(one)) or one == other
    assert not (one.includes(other) and other.includes(third)) or one.includes(third)


@given(lsns, lsns)
def test_covers__another_system(one: Lsn, other: Lsn) -> None:
    """Two systems never meet, however far each has come."""
    assert one.different_system(other) == (one.system != other.system)
    assert not (one.different_system(other) and one.includes(other))


def test_covers__another_vendor() -> None:
    """A position of another vendor is foreign, and covered by none."""
    gtids = MySQLGtidSet.parse("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5")
    position = Lsn("73", 1, 5)

    assert not position.includes(gtids)
    assert position.different_system(gtids)
    assert position.bytes_behind(gtids) is None


def test_superseded__an_older_timeline() -> None:
    """A server on an older timeline of the same system was superseded, however far it wrote on."""
    old, new = Lsn("73", 1, 900), Lsn("73", 2, 500)

    assert old.superseded_by(new)
    assert not new.superseded_by(old)
    assert not old.superseded_by(Lsn("74", 2, 500))
    assert not new.includes(old)


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_distance__bytes_behind(one: int, other: int) -> None:
    """It is the log in between, and never negative."""
    assert Lsn("73", 1, one).bytes_behind(Lsn("73", 1, other)) == max(other - one, 0)


@given(
    page=st.sampled_from(PAGES),
    segment=st.sampled_from(SEGMENTS),
    number=st.integers(1, 2**30),
    behind=st.one_of(st.integers(0, 64), st.integers(0, 64 * KIB)),
)
def test_reached__only_behind_a_header(page: int, segment: int, number: int, behind: int) -> None:
    """Right behind a page's or a segment's header it is the page's start; every other place is as it is."""
    lsn = number * page + behind
    moved = reached(lsn, page, segment)

    if lsn % segment == 40:
        assert moved == lsn - 40
    elif lsn % page == 24:
        assert moved == lsn - 24
    else:
        assert moved == lsn


@given(page=st.sampled_from(PAGES), segment=st.sampled_from(SEGMENTS), number=st.integers(1, 2**20))
def test_reached__the_two_headers(page: int, segment: int, number: int) -> None:
    """Behind the header of a segment, and behind that of a page inside one, nothing is waited for."""
    assert reached(number * segment + 40, page, segment) == number * segment
    assert reached(number * segment + page + 24, page, segment) == number * segment + page
