"""The examples in the docstrings of `switchyard.crossdb` run, and give the results that they show."""

import datetime as dt
import doctest

import pytest

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard import crossdb

NOW = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)


@pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)
@pytest.mark.parametrize("name", sorted(set(crossdb.__all__) - {"TooManyKeysError"}))
def test_example(name: str) -> None:
    """The example of each name for users runs and gives the result that it shows."""
    (example,) = doctest.DocTestFinder(recurse=False).find(
        getattr(crossdb, name), name, globs={"User": User, "Event": AnalyticsEvent, "NOW": NOW}
    )
    printed: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(example, out=printed.append)

    assert result.attempted
    assert result.failed == 0, "".join(printed)
