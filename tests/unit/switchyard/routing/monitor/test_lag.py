"""The lag of a replica, from samples of its owner."""

from hypothesis import given
from hypothesis import strategies as st
from tests.support.published import at

from switchyard.routing.monitor.lag import History


def history(*samples: tuple[float, int]) -> History:
    """Return a history of these samples: time and LSN."""
    made = History()
    for when, lsn in samples:
        made.add(when, at(lsn))
    return made


def test_lag_seconds__everything_replayed() -> None:
    """The lag is 0, however long ago the last write was."""
    assert history((1.0, 5), (2.0, 6)).lag_seconds(at(6), probed_at=3600.0, now=3600.0) == 0


def test_lag_seconds__idle_owner() -> None:
    """The age of a position counts from the first sample with it."""
    samples = [(float(second), 5) for second in range(1, 100)]

    assert history(*samples).lag_seconds(at(5), probed_at=100.0, now=100.0) == 0
    assert history(*samples).lag_seconds(at(4), probed_at=100.0, now=100.0) == 99.0


def test_lag_seconds__something_not_replayed() -> None:
    """The lag is the age of the oldest sample that is not replayed."""
    assert history((1.0, 5), (2.0, 6), (3.0, 7)).lag_seconds(at(5), probed_at=9.0, now=10.0) == 8.0


def test_lag_seconds__sample_after_the_probe() -> None:
    """A sample that is newer than the probe of the replica does not count."""
    assert history((1.0, 5), (4.0, 6)).lag_seconds(at(5), probed_at=4.0, now=10.0) == 0
    assert history((1.0, 5), (4.0, 6)).lag_seconds(at(5), probed_at=4.1, now=10.0) == 6.0


def test_lag_seconds__no_samples() -> None:
    """Without samples the lag is 0."""
    assert History().lag_seconds(at(0), probed_at=9.0, now=10.0) == 0


def test_add__other_system_or_step_back() -> None:
    """A new history begins, without the earlier samples."""
    made = history((1.0, 5))
    made.add(2.0, at(3, system="2"))
    assert made.lag_seconds(at(3, system="2"), probed_at=9.0, now=10.0) == 0
    made.add(3.0, at(1, system="2"))
    assert made.lag_seconds(at(1, system="2"), probed_at=9.0, now=10.0) == 0


def test_discard_replayed__keeps_the_rest() -> None:
    """The samples that a replica has not replayed stay, and the newest sample always stays."""
    made = history((1.0, 5), (2.0, 6), (3.0, 7))
    made.discard_replayed([at(6), at(5)])
    assert len(made._written) == 2
    assert made.lag_seconds(at(5), probed_at=9.0, now=10.0) == 8.0
    made.discard_replayed([at(9)])
    assert len(made._written) == 1
    made.discard_replayed([])
    assert len(made._written) == 1


@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.integers(0, 3)), min_size=1, max_size=40),
    st.integers(0, 60),
    st.floats(0, 50),
)
def test_lag_seconds__like_a_search_of_all_samples(
    steps: list[tuple[float, int]], replayed: int, probed_at: float
) -> None:
    """The binary search finds the same lag as a look at every sample."""
    made, samples, when, lsn = History(), {}, 0.0, 0
    for seconds, written in steps:
        when, lsn = when + seconds, lsn + written
        samples.setdefault(lsn, when)
        made.add(when, at(lsn))
    now = max(when, probed_at) + 1
    missing = [first for place, first in samples.items() if place > replayed and first < probed_at]

    assert made.lag_seconds(at(replayed), probed_at=probed_at, now=now) == (now - min(missing) if missing else 0.0)


def test_add__more_samples_than_the_maximum() -> None:
    """The oldest and the newest sample stay; between them the lag is coarser, and never too high."""
    made = history(*((float(number), number) for number in range(5000)))

    assert len(made._written) <= 1025
    assert made.lag_seconds(at(4999), probed_at=5000.0, now=5000.0) == 0
    assert made.lag_seconds(at(-1), probed_at=5000.0, now=5000.0) == 5000.0
    assert 0 < made.lag_seconds(at(100), probed_at=5000.0, now=5000.0) <= 4899.0
