"""Why a statement runs on its alias: the last decision of the same client about one of its tables."""

from collections.abc import Iterator

import pytest
from django.db import router

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.routing import use_primary
from switchyard.routing.selection import last_decisions
from switchyard.routing.selection.last_decisions import moved_read, reason_of
from switchyard.routing.session.context import activate, request_context
from switchyard.sql import classify

USERS = classify("SELECT * FROM accounts_user", "postgresql")


@pytest.fixture(autouse=True)
def _kept() -> Iterator[None]:
    """Keep decisions, in a request of its own."""
    before = last_decisions.are_kept
    last_decisions.keep(True)
    with activate(request_context()):
        yield
    last_decisions.keep(before)


def test_reason__of_a_read() -> None:
    """A read has the rule of the decision about its table on its alias."""
    router.db_for_read(User)

    assert reason_of("replica", USERS) == "replica"
    assert reason_of("default", USERS) is None


def test_reason__of_the_last_decision() -> None:
    """A later decision about the same table counts."""
    for _ in range(2):
        with use_primary():
            router.db_for_read(User)
        assert reason_of("default", USERS) == "override"
    router.db_for_write(User)

    assert reason_of("default", USERS) == "write"


def test_reason__of_an_owner_without_replicas() -> None:
    """A read that goes to the only possible alias has the rule `owner`."""
    router.db_for_read(AnalyticsEvent)

    assert reason_of("analytics", classify("SELECT * FROM analytics_analyticsevent", "postgresql")) == "owner"


def test_reason__of_a_join() -> None:
    """One table of the statement is enough."""
    router.db_for_read(User)

    assert reason_of("replica", classify("SELECT * FROM a JOIN accounts_user u ON true", "postgresql")) == "replica"


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("UPDATE accounts_user SET id = 1", "write"),
        ("SAVEPOINT a", None),
        ("DROP TABLE accounts_user", None),
        ("SELECT 1", None),
    ],
)
def test_reason__without_a_decision(sql: str, reason: str | None) -> None:
    """A write is always one; nobody decided about other statements."""
    router.db_for_read(User)

    assert reason_of("replica", classify(sql, "postgresql")) == reason


def test_reason__of_another_client() -> None:
    """The decisions of one request say nothing about the next one in the same thread."""
    router.db_for_read(User)
    with activate(request_context()):
        assert reason_of("replica", USERS) is None


def test_reason__of_a_moved_read() -> None:
    """A read that moved has this reason, whatever was decided before."""
    router.db_for_read(User)
    with moved_read():
        assert reason_of("replica", USERS) == "failover"

    assert reason_of("replica", USERS) == "replica"


def test_note__only_if_kept() -> None:
    """Nothing is kept while nobody asks for reasons."""
    last_decisions.keep(False)
    router.db_for_read(User)

    assert reason_of("replica", USERS) is None
