"""The parts of the soak that need no cluster: the order of its events, and which failed requests count."""

from collections import Counter

import pytest
from tests.soak.answers import NONE, Allowed, Answer, parsed
from tests.soak.events import KINDS
from tests.soak.plan import planned

REFUSED_WRITES = Allowed(refused=frozenset({"write"}))
BROKEN = Allowed(broken_seconds=5)
KILLED_AT = 100.0


def answer(kind: str, outcome: str, *, seconds: float = 0.1, ended_at: float = 101.0) -> Answer:
    """Return an answer."""
    return Answer(kind, ended_at - seconds, seconds, outcome, "soak-1")


@pytest.mark.parametrize("small", [True, False])
def test_planned__each_kind_as_often_as_the_table_says(small: bool) -> None:
    """Every seed has the same events in another order, and begins with an upgrade."""
    expected = Counter({kind.name: kind.times_small if small else kind.times for kind in KINDS})

    for seed in range(20):
        events = planned(seed, small=small)

        assert Counter(event.kind.name for event in events) == +expected
        assert events[0].kind.name.startswith("upgrade: ")
        assert events == planned(seed, small=small)
    assert planned(1, small=small) != planned(2, small=small)


@pytest.mark.parametrize(
    ("allowed", "given", "permitted"),
    [
        (NONE, answer("write", "201"), True),
        (NONE, answer("read", "200", seconds=9), True),
        (NONE, answer("write", "503"), False),
        (NONE, answer("own read", "stale"), False),
        (NONE, answer("read", "ConnectionResetError"), False),
        (REFUSED_WRITES, answer("write", "503"), True),
        (REFUSED_WRITES, answer("write", "503", seconds=2.1), False),
        (REFUSED_WRITES, answer("write", "201", seconds=2.1), False),
        (REFUSED_WRITES, answer("write", "500"), False),
        (REFUSED_WRITES, answer("read", "503"), False),
        (REFUSED_WRITES, answer("write", "ConnectionResetError"), False),
        (BROKEN, answer("write", "ConnectionResetError", ended_at=104.9), True),
        (BROKEN, answer("write", "ConnectionResetError", ended_at=105.1), False),
        (BROKEN, answer("write", "ConnectionResetError", ended_at=99.9), False),
        (BROKEN, answer("own read", "stale"), False),
        (BROKEN, answer("read", "TimeoutError"), False),
        (BROKEN, answer("write", "503"), False),
    ],
)
def test_permits__one_answer(allowed: Allowed, given: Answer, permitted: bool) -> None:
    """An event allows the failures of its table row, and no others."""
    assert allowed.permits(given, KILLED_AT) is permitted


def test_parsed__of_a_record_that_is_being_written() -> None:
    """The answers come in the order of their begin, without a last line that is not complete."""
    record = '["read", 2.0, 0.1, "200", ""]\n["write", 1.0, 0.1, "201", "soak-1"]\n["read", 3.0, 0.'

    assert [each.kind for each in parsed(record)] == ["write", "read"]
