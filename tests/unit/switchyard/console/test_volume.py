"""The console shows the numbers of the counters, by alias and operation."""

from hypothesis import given
from hypothesis import strategies as st

from switchyard.console.volume import volumes
from switchyard.telemetry.metrics import OPERATIONS

ALIASES = ("default", "replica")
counts = st.dictionaries(
    st.tuples(st.sampled_from(ALIASES), st.sampled_from(OPERATIONS), st.sampled_from(("accounts", "other"))),
    st.integers(0, 10**9),
)


def samples(values):
    return {
        ("switchyard_queries_total", (("alias", alias), ("operation", operation), ("app", app))): float(value)
        for (alias, operation, app), value in values.items()
    }


@given(counts)
def test_volumes__any_counts(values):
    """The queries of an alias are the sum of its counters over operations and apps."""
    actual = {volume.alias: volume.queries for volume in volumes(ALIASES, samples(values))}

    assert actual == {alias: sum(v for key, v in values.items() if key[0] == alias) for alias in ALIASES}


@given(counts)
def test_volumes__bars(values):
    """No bar is wider than the bar of the busiest alias, which fills the column."""
    widths = [sum(share.percent for share in volume.shares) for volume in volumes(ALIASES, samples(values))]

    assert max(widths) < 100.1


def test_volumes__other_metrics():
    """Samples of other metrics are not counted as queries."""
    other = {("db_client_operation_duration_seconds_count", (("alias", "default"), ("operation", "read"))): 3.0}

    assert [volume.queries for volume in volumes(ALIASES, other)] == [0, 0]
