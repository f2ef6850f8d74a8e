"""Moments for rows of tests."""

import datetime as dt

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)


def moment(seconds: int | None) -> dt.datetime | None:
    """Return a moment after noon; None for None."""
    return None if seconds is None else NOON + dt.timedelta(seconds=seconds)
