"""Positions of MySQL: sets of GTIDs, compared with Python's sets."""

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.positions import parse, serialize
from switchyard.positions.mysql import MySQLGtidSet, current_position, status

ONE, OTHER = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "b5145d4e-8d9b-11f0-a1ee-0242ac110002"

type Model = frozenset[tuple[str, int]]

sources = st.sampled_from([ONE, OTHER, f"{ONE}:nightly", f"{OTHER}:_x1", f"{ONE}:a"])
models = st.frozensets(st.tuples(sources, st.integers(1, 12)), min_size=1)


def notation(model: Model) -> str:
    """Return the set in MySQL's notation: one entry for each UUID, with its tags, intervals and single numbers."""
    entries: dict[str, list[str]] = {}
    for source, members in groupby(sorted(model), key=lambda member: member[0]):
        uuid, _, tag = source.partition(":")
        entry = entries.setdefault(uuid, [uuid])
        entry += [tag] if tag else []
        numbers = [number for _, number in members]
        for _, run in groupby(enumerate(numbers), key=lambda place: place[1] - place[0]):
            interval = [number for _, number in run]
            entry.append(f"{interval[0]}-{interval[-1]}" if len(interval) > 1 else str(interval[0]))
    return ",\n".join(":".join(entry) for entry in entries.values())


class Cursor:
    """A cursor that answers the status query with this row."""

    def __init__(self, *row: object) -> None:
        self.row = row

    def execute(self, sql: str) -> None:
        assert sql.split()[:3] == ["SELECT", "@@server_uuid,", "@@global.read_only,"]

    def fetchone(self) -> tuple[object, ...]:
        return self.row


@given(models)
def test_serialize__any_position(model: Model) -> None:
    """The text of a position parses to the same position."""
    position = MySQLGtidSet.parse(notation(model))

    assert parse(serialize(position)) == position


@given(models, models)
def test_includes__like_sets(one: Model, other: Model) -> None:
    """A position includes another one if it has all of its transactions, with gaps and tags."""
    assert MySQLGtidSet.parse(notation(one)).includes(MySQLGtidSet.parse(notation(other))) == (one >= other)


@given(models, st.data())
def test_includes__subset(model: Model, data: st.DataObject) -> None:
    """A position includes each of its subsets."""
    part = data.draw(st.frozensets(st.sampled_from(sorted(model)), min_size=1))

    assert MySQLGtidSet.parse(notation(model)).includes(MySQLGtidSet.parse(notation(part)))


@given(models, models)
def test_includes__each_other(one: Model, other: Model) -> None:
    """Equal sets are equal positions, in any order of the text."""
    first, second = MySQLGtidSet.parse(notation(one)), MySQLGtidSet.parse(notation(other))

    assert (first.includes(second) and second.includes(first)) == (first == second) == (one == other)


@given(models, models)
def test_different_system__no_common_source(one: Model, other: Model) -> None:
    """Positions without a common source belong to different systems."""
    common = {source for source, _ in one} & {source for source, _ in other}

    assert MySQLGtidSet.parse(notation(one)).different_system(MySQLGtidSet.parse(notation(other))) == (not common)


def test_parse__tags_of_one_server() -> None:
    """The intervals after a tag belong to this tag, up to the next tag."""
    assert MySQLGtidSet.parse(f"{ONE.upper()}:1-3:7:nightly:2-4").sources == (
        (ONE, ((1, 3), (7, 7))),
        (f"{ONE}:nightly", ((2, 4),)),
    )


@pytest.mark.parametrize(
    ("read_only", "super_read_only", "is_standby"), [(0, 0, False), (1, 0, True), (1, 1, True), (0, 1, True)]
)
def test_status__read_only(*, read_only: int, super_read_only: int, is_standby: bool) -> None:
    """A read-only server counts as a standby; a server that takes writes does not."""
    found = status(Cursor(ONE, read_only, super_read_only, f"{ONE}:1-5"))

    assert (found.server_id, found.is_standby, found.writable) == (ONE, is_standby, not is_standby)


def test_current_position__after_a_promotion() -> None:
    """The position of a promoted server includes the rows that other servers wrote."""
    position = current_position(Cursor(ONE, 0, 0, f"{ONE}:1-5,\n{OTHER}:1-70"))

    assert position == MySQLGtidSet.parse(f"{ONE}:1-5,{OTHER}:1-70")
    assert not MySQLGtidSet.parse(f"{ONE}:1-5,{OTHER}:1-69").includes(position)


def test_current_position__without_gtids() -> None:
    """The server has no position, and the error says which option to set."""
    with pytest.raises(ValueError, match="gtid_mode=ON"):
        current_position(Cursor(ONE, 0, 0, ""))


def test_status__without_gtids() -> None:
    """The status has no position."""
    assert status(Cursor(ONE, 0, 0, "")).position is None
