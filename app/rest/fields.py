"""Field types for requests, with limits that every supported database can store.

A valid value is stored unchanged: its number fits the driver, PostgreSQL accepts its characters, and every server's
calendar has its date.
"""

import datetime as dt
from typing import Annotated

from pydantic import AfterValidator, Field

LARGEST_KEY = 2**63 - 1
FIRST_DAY, LAST_DAY = dt.date(1900, 1, 1), dt.date(2199, 12, 31)
FIRST_MOMENT = dt.datetime.combine(FIRST_DAY, dt.time.min, dt.UTC)
LAST_MOMENT = dt.datetime.combine(LAST_DAY, dt.time.max, dt.UTC)


def _in_utc(moment: dt.datetime) -> dt.datetime:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    if not FIRST_MOMENT <= aware <= LAST_MOMENT:
        raise ValueError(f"must lie between {FIRST_DAY} and {LAST_DAY}")
    return aware.astimezone(dt.UTC)


def _within_calendar(day: dt.date) -> dt.date:
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"must lie between {FIRST_DAY} and {LAST_DAY}")
    return day


Key = Annotated[int, Field(ge=1, le=LARGEST_KEY)]
"""A primary key in a path or a query."""

BodyKey = Annotated[int, Field(ge=1, le=LARGEST_KEY, strict=True)]
"""A primary key in a JSON body: a number, neither `"7"` nor `true`."""

Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$")]
"""Text without control characters. Add a maximum length at the place of use."""

Moment = Annotated[
    dt.datetime,
    AfterValidator(_in_utc),
    Field(description=f"ISO 8601, from {FIRST_DAY} to {LAST_DAY}; UTC unless it names an offset."),
]
Day = Annotated[
    dt.date, AfterValidator(_within_calendar), Field(description=f"A UTC day, from {FIRST_DAY} to {LAST_DAY}.")
]
