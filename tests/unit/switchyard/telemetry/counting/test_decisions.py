"""Each decision of the routers is counted once, by alias, operation and rule."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.contrib.sessions.models import Session
from django.db.models import Model
from django.db.utils import ConnectionRouter

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.routing import use_primary, use_replica
from switchyard.routing.decision import decision
from switchyard.routing.selection.rules import RULES
from switchyard.routing.selection.select import decide
from switchyard.routing.session import context
from switchyard.routing.session.context import activate
from switchyard.routing.topology.replication import Replica, replication_set
from switchyard.telemetry import metrics, snapshot
from switchyard.telemetry.counting.decisions import count_decision

STACKED = ConnectionRouter(("switchyard.routing.PrimaryReplicaRouter", "switchyard.routing.AppRouter"))

type Counts = dict[tuple[str, ...], float]


@contextmanager
def counting() -> Iterator[Counts]:
    """Yield a dictionary that holds the increases after the block: (alias, operation, reason) -> number."""
    counts: Counts = {}
    before = snapshot()
    yield counts
    for (name, labels), value in snapshot().items():
        if name == metrics.DECISIONS and (added := value - before.get((name, labels), 0.0)):
            counts[tuple(label for _, label in labels)] = added


@contextmanager
def down() -> Iterator[None]:
    """Publish that the replica is down."""
    group = replication_set("default")
    group.replace_snapshot([Replica("replica", "down")])
    try:
        yield
    finally:
        group.replace_snapshot([Replica("replica")])


@pytest.mark.parametrize(
    ("model", "read"),
    [
        (User, ("replica", "read", "replica")),
        (Session, ("default", "read", "primary_only")),
        (AnalyticsEvent, ("analytics", "read", "owner")),
    ],
)
def test_decisions__stacked_routers(model: type[Model], read: tuple[str, ...]) -> None:
    """A read is one decision, although Django asks two routers; a write is another decision."""
    with counting() as counts, activate(context.request_context()):
        STACKED.db_for_read(model)
        STACKED.db_for_read(model)
        STACKED.db_for_write(model)

    owner = "analytics" if model is AnalyticsEvent else "default"
    assert counts == {read: 2.0, (owner, "write", "write"): 1.0}


def test_decisions__no_fit_replica() -> None:
    """A read that the first router leaves to the second router is counted once, with its reason."""
    with counting() as counts, activate(context.request_context()), down():
        STACKED.db_for_read(User)
        STACKED.db_for_read(User, instance=User(pk=1))

    assert counts == {("default", "read", "down"): 2.0}


def test_decisions__overrides() -> None:
    """The alias tells which override decided."""
    with counting() as counts:
        with use_primary():
            STACKED.db_for_read(User)
        with use_replica():
            STACKED.db_for_read(User)

    assert counts == {("default", "read", "override"): 1.0, ("replica", "read", "override"): 1.0}


def test_decisions__without_a_query() -> None:
    """Relations, migrations and explanations send no query, so they are not counted."""
    with counting() as counts:
        STACKED.allow_relation(User(), User())
        STACKED.allow_migrate("default", "accounts")
        decide(User)

    assert counts == {}


def test_count_decision__every_rule() -> None:
    """Each rule has a cell of its own."""
    with counting() as counts:
        for rule in RULES:
            count_decision(decision("default", rule.name))
            count_decision(decision("default", rule.name))

    assert counts == {("default", "read", rule.name): 2.0 for rule in RULES}
