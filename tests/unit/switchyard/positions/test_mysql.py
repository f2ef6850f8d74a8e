"""Sets of GTIDs, against sets of Python's."""

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
    """Return the set as MySQL writes it: one entry for a UUID, its tags behind it, a number alone where it is one."""
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
    """Answers the one question."""

    def __init__(self, *row: object) -> None:
        self.row = row

    def execute(self, sql: str) -> None:
        assert sql.split()[:3] == ["SELECT", "@@server_uuid,", "@@global.read_only,"]

    def fetchone(self) -> tuple[object, ...]:
        return self.row


@given(models)
def test_gtid_set__as_text(model: Model) -> None:
    """It comes back from its text as it was."""
    position = MySQLGtidSet.parse(notation(model))

    assert parse(serialize(position)) == position


@given(models, models)
def test_covers__as_sets_do(one: Model, other: Model) -> None:
    """A set covers another when it has all of its members, gaps and tags included."""
    assert MySQLGtidSet.parse(notation(one)).includes(MySQLGtidSet.parse(notation(other))) == (one >= other)


@given(models, st.data())
def test_covers__a_part(model: Model, data: st.DataObject) -> None:
    """A set covers each of its parts."""
    part = data.draw(st.frozensets(st.sampled_from(sorted(model)), min_size=1))

    assert MySQLGtidSet.parse(notation(model)).includes(MySQLGtidSet.parse(notation(part)))


@given(models, models)
def test_covers__each_other(one: Model, other: Model) -> None:
    """Equal sets are equal positions, whatever the order of what was read."""
    first, second = MySQLGtidSet.parse(notation(one)), MySQLGtidSet.parse(notation(other))

    assert (first.includes(second) and second.includes(first)) == (first == second) == (one == other)


@given(models, models)
def test_foreign_to__no_source_in_common(one: Model, other: Model) -> None:
    """Two sets are foreign when no server wrote in both."""
    common = {source for source, _ in one} & {source for source, _ in other}

    assert MySQLGtidSet.parse(notation(one)).different_system(MySQLGtidSet.parse(notation(other))) == (not common)


def test_parse__tags_of_one_server() -> None:
    """What stands behind a tag is that tag's, up to the next one."""
    assert MySQLGtidSet.parse(f"{ONE.upper()}:1-3:7:nightly:2-4").sources == (
        (ONE, ((1, 3), (7, 7))),
        (f"{ONE}:nightly", ((2, 4),)),
    )


@pytest.mark.parametrize(
    ("read_only", "super_read_only", "follows"), [(0, 0, False), (1, 0, True), (1, 1, True), (0, 1, True)]
)
def test_ask__a_fenced_server(*, read_only: int, super_read_only: int, follows: bool) -> None:
    """A server that is read-only follows; one that takes writes does not."""
    answer = status(Cursor(ONE, read_only, super_read_only, f"{ONE}:1-5"))

    assert (answer.server_id, answer.is_standby, answer.writable) == (ONE, follows, not follows)


def test_written__what_came_from_a_predecessor() -> None:
    """After a change of roles the server shows rows that others wrote: they are part of its position."""
    position = current_position(Cursor(ONE, 0, 0, f"{ONE}:1-5,\n{OTHER}:1-70"))

    assert position == MySQLGtidSet.parse(f"{ONE}:1-5,{OTHER}:1-70")
    assert not MySQLGtidSet.parse(f"{ONE}:1-5,{OTHER}:1-69").includes(position)


def test_written__without_gtids() -> None:
    """There is no position, and the error says what to set."""
    with pytest.raises(ValueError, match="gtid_mode=ON"):
        current_position(Cursor(ONE, 0, 0, ""))


def test_ask__without_gtids() -> None:
    """The server answers all the same, without a position."""
    assert status(Cursor(ONE, 0, 0, "")).position is None
