"""Rates and quantiles between two snapshots of the counters."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.telemetry.metrics import DURATION, ERRORS, QUERIES
from switchyard.telemetry.rates import quantile, rates


def sample(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(labels.items())


READ = sample(QUERIES, alias="replica", operation="read", app="accounts")
OTHER_READ = sample(QUERIES, alias="replica", operation="read", app="other")
WRITE = sample(QUERIES, alias="default", operation="write", app="accounts")
ERROR = sample(ERRORS, alias="default", vendor="sqlite", error="DataError", sqlstate_class="none")
BUCKETS = [
    sample(f"{DURATION}_bucket", alias="replica", vendor="sqlite", operation="read", le=le) for le in ("0.5", "+Inf")
]


def test_rates__per_second() -> None:
    """Increments count by alias and operation; what did not change is left out."""
    before = {READ: 10.0, OTHER_READ: 0.0, WRITE: 5.0, ERROR: 1.0}
    found = rates(before, {READ: 14.0, OTHER_READ: 2.0, WRITE: 5.0, ERROR: 2.0}, seconds=2.0)

    assert found.keys() == {"replica", "default"}
    assert (found["replica"].queries, found["replica"].total) == ({"read": 3.0}, 3.0)
    assert (found["default"].errors, found["default"].total) == (0.5, 0)


def test_rates__quantile() -> None:
    """The quantile is of the calls in the span alone."""
    before = dict.fromkeys(BUCKETS, 100.0)
    found = rates(before, dict(zip(BUCKETS, (104.0, 104.0), strict=True)), seconds=1.0)

    assert found["replica"].quantile(0.5) == pytest.approx(0.25)
    assert found["default"].quantile(0.5) is None


@pytest.mark.parametrize(("share", "expected"), [(0.25, 0.5), (0.5, 1.0), (0.75, 2.0), (0.9, 2.0), (1.0, 2.0)])
def test_quantile__between_bounds(share: float, expected: float) -> None:
    """Calls are spread evenly between two bounds; above the last bound the quantile is that bound."""
    assert quantile(share, [(1.0, 2), (2.0, 3), (inf, 4)]) == pytest.approx(expected)


def test_quantile__no_call() -> None:
    """Without a call there is no quantile."""
    assert quantile(0.5, []) is None
    assert quantile(0.5, [(1.0, 0), (inf, 0)]) is None


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8), st.floats(0, 1), st.floats(0, 1))
def test_quantile__grows_with_the_share(counts: list[int], low: float, high: float) -> None:
    """A larger share has no smaller quantile, and none is above the last bound."""
    total = 0
    cumulative = [(float(number), total := total + count) for number, count in enumerate(counts, start=1)]
    cumulative.append((inf, total))
    smaller, larger = (quantile(share, cumulative) for share in sorted((low, high)))

    assert (smaller is None) == (larger is None) == (total == 0)
    if smaller is not None and larger is not None:
        assert 0 <= smaller <= larger <= len(counts)
