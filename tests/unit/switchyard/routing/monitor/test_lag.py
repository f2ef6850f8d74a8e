"""Lag by the owner's own samples."""

from hypothesis import given
from hypothesis import strategies as st
from tests.support.published import at

from switchyard.routing.monitor.lag import History


def history(*samples: tuple[float, int]) -> History:
    """Return a history of these times and places."""
    made = History()
    for when, lsn in samples:
        made.add(when, at(lsn))
    return made


def test_lag__everything_replayed() -> None:
    """It is 0, however long ago the last write was."""
    assert history((1.0, 5), (2.0, 6)).lag_seconds(at(6), asked_at=3600.0, now=3600.0) == 0


def test_lag__an_idle_owner() -> None:
    """The same position sampled again changes nothing: its age is that of its first sample."""
    samples = [(float(second), 5) for second in range(1, 100)]

    assert history(*samples).lag_seconds(at(5), asked_at=100.0, now=100.0) == 0
    assert history(*samples).lag_seconds(at(4), asked_at=100.0, now=100.0) == 99.0


def test_lag__something_not_replayed() -> None:
    """It is the age of the oldest sample that is not replayed."""
    assert history((1.0, 5), (2.0, 6), (3.0, 7)).lag_seconds(at(5), asked_at=9.0, now=10.0) == 8.0


def test_lag__a_sample_from_after_the_replica_was_asked() -> None:
    """It says nothing about the replica."""
    assert history((1.0, 5), (4.0, 6)).lag_seconds(at(5), asked_at=4.0, now=10.0) == 0
    assert history((1.0, 5), (4.0, 6)).lag_seconds(at(5), asked_at=4.1, now=10.0) == 6.0


def test_lag__no_samples() -> None:
    """Nothing is known that would not be replayed."""
    assert History().lag_seconds(at(0), asked_at=9.0, now=10.0) == 0


def test_add__another_system_or_a_step_back() -> None:
    """A new history begins: what went before was of other rows."""
    made = history((1.0, 5))
    made.add(2.0, at(3, system="2"))
    assert made.lag_seconds(at(3, system="2"), asked_at=9.0, now=10.0) == 0
    made.add(3.0, at(1, system="2"))
    assert made.lag_seconds(at(1, system="2"), asked_at=9.0, now=10.0) == 0


def test_forget__what_all_have_replayed() -> None:
    """The oldest that some replica has not replayed is kept, and the newest one always."""
    made = history((1.0, 5), (2.0, 6), (3.0, 7))
    made.discard_replayed([at(6), at(5)])
    assert len(made._written) == 2
    assert made.lag_seconds(at(5), asked_at=9.0, now=10.0) == 8.0
    made.discard_replayed([at(9)])
    assert len(made._written) == 1
    made.discard_replayed([])
    assert len(made._written) == 1


@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.integers(0, 3)), min_size=1, max_size=40),
    st.integers(0, 60),
    st.floats(0, 50),
)
def test_lag__as_by_looking_at_every_sample(steps: list[tuple[float, int]], replayed: int, asked_at: float) -> None:
    """The search finds what a look at all of them finds."""
    made, samples, when, lsn = History(), {}, 0.0, 0
    for seconds, written in steps:
        when, lsn = when + seconds, lsn + written
        samples.setdefault(lsn, when)
        made.add(when, at(lsn))
    now = max(when, asked_at) + 1
    missing = [first for place, first in samples.items() if place > replayed and first < asked_at]

    assert made.lag_seconds(at(replayed), asked_at=asked_at, now=now) == (now - min(missing) if missing else 0.0)


def test_add__more_than_are_kept() -> None:
    """The oldest and the newest stay; the lag is coarser between them, and never more than it is."""
    made = history(*((float(number), number) for number in range(5000)))

    assert len(made._written) <= 1025
    assert made.lag_seconds(at(4999), asked_at=5000.0, now=5000.0) == 0
    assert made.lag_seconds(at(-1), asked_at=5000.0, now=5000.0) == 5000.0
    assert 0 < made.lag_seconds(at(100), asked_at=5000.0, now=5000.0) <= 4899.0
