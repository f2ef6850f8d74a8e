"""`assert_queries`, through the fixture that users' tests take."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from django.db import transaction

from accounts.models import User
from switchyard.testing.fixtures import assert_queries  # noqa: F401 - a fixture

type AssertQueries = Callable[..., AbstractContextManager[None]]


@pytest.mark.django_db(databases=["default", "replica"], transaction=True)
def test_assert_queries__the_right_numbers(assert_queries: AssertQueries) -> None:  # noqa: F811 - the fixture
    """Reads and writes are counted on their alias; BEGIN and COMMIT are not counted."""
    with assert_queries(default=1, replica=2, analytics=0):
        with transaction.atomic():
            User.objects.create(username="a")
        User.objects.get(username="a")
        User.objects.count()


@pytest.mark.django_db(databases=["default", "replica"], transaction=True)
def test_assert_queries__unexpected_query(assert_queries: AssertQueries) -> None:  # noqa: F811 - the fixture
    """A query on an alias that is not named fails the test, and the message shows its SQL."""
    with (
        pytest.raises(AssertionError, match=r"got \{'replica': 1\}(.|\n)*replica: SELECT COUNT"),
        assert_queries(default=0),
    ):
        User.objects.count()


def test_assert_queries__unknown_alias(assert_queries: AssertQueries) -> None:  # noqa: F811 - the fixture
    """A misspelled alias is an error, and not an alias without queries."""
    with pytest.raises(ValueError, match="unknown alias: replicas"), assert_queries(replicas=1):
        pass
