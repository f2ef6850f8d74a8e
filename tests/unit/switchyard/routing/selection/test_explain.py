"""explain_route(): where a read goes and why, without a trace."""

import time
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import router
from django.db.models import Model
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st
from tests.support.decided import recorded
from tests.support.published import at, lagging, replayed, sampled

from accounts.models import User
from switchyard.routing import explain_route, use_primary, use_replica
from switchyard.routing.selection.explain import written_to
from switchyard.routing.session import context
from switchyard.routing.session.consistency import PendingPosition
from switchyard.routing.session.context import activate, current
from switchyard.routing.topology.replication import Replica, ReplicationSet

APP, REPLICA = "switchyard.routing.AppRouter", "switchyard.routing.PrimaryReplicaRouter"


@pytest.fixture
def group() -> Iterator[ReplicationSet]:
    """Two replicas that have replayed 500 and 600; this test's state is its own."""
    with lagging("replica", "legacy") as group, activate(context.task_context()):
        replayed(group, replica=500, legacy=600)
        yield group


def test_explain_route__default(group: ReplicationSet) -> None:
    """Each rule before the one that decides was asked and is not about this read."""
    found = explain_route(User)

    assert (found.model, found.owner, found.alias, found.rule) == ("accounts.User", "default", "replica", "replica")
    assert [asked.rule for asked in found.results if asked.alias is None][-2:] == ["unsafe_method", "pinned"]
    assert found.results[-1].alias == "replica"
    assert str(found) == "accounts.User is read from 'replica' by rule 'replica': a fit replica that has caught up."


def test_explain_route__replicas(group: ReplicationSet) -> None:
    """What is known about each is there: why it is unfit, its lag and its position."""
    group.replace_snapshot([Replica("replica", "lagging", at(5), 31.0, 4096), Replica("legacy", "", at(600))])

    found = explain_route(User)

    assert found.alias == "legacy"
    assert found.replicas[0] == ("replica", "lagging", at(5), 31.0, 4096)


def test_explain_route__owed(group: ReplicationSet) -> None:
    """What this request owes decides, and is not changed by the question."""
    current().consistency.require("default", at(900))

    assert (explain_route(User).alias, explain_route(User).rule) == ("default", "pinned")
    assert current().consistency.required == {"default": at(900)}


def test_explain_route__unplaced(group: ReplicationSet) -> None:
    """A write that could be given a position by now is given none by the question."""
    written = PendingPosition(time.monotonic())
    current().consistency.require("default", written)
    sampled(group, 550)

    assert explain_route(User).alias == "legacy"
    assert current().consistency.required == {"default": written}


def test_explain_route__instance(group: ReplicationSet) -> None:
    """The instance that it is asked from decides as in a query."""
    user = User()
    user._state.db = "default"

    assert (explain_route(User, user).alias, explain_route(User, user).rule) == ("default", "loaded_from_owner")


@pytest.mark.parametrize(
    ("routers", "alias", "rule"),
    [
        ([REPLICA, APP], "replica", "replica"),
        ([REPLICA], "replica", "replica"),
        ([APP], "default", "AppRouter"),
        ([], "default", "Django's default"),
    ],
)
def test_explain_route__routers(group: ReplicationSet, routers: list[str], alias: str, rule: str) -> None:
    """The installed routers answer; where that is not the rules' answer, it says whose it is."""
    with override_settings(DATABASE_ROUTERS=routers):
        found = explain_route(User)

    assert (found.alias, found.rule) == (alias, rule)


class Legacy:
    """A router of a project's own."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return "legacy"

    db_for_write = db_for_read


def test_explain_route__a_router_of_the_projects(group: ReplicationSet) -> None:
    """The first router with an answer has it, for reads and writes."""
    with override_settings(DATABASE_ROUTERS=[Legacy(), REPLICA, APP]):
        found = explain_route(User)

        assert (found.alias, found.rule) == ("legacy", "Legacy")
        assert written_to(User) == "legacy"
    assert written_to(User) == "default"


@given(
    owed=st.sampled_from([None, 100, 550, 900, inf]),
    last=st.sampled_from([None, "replica", "legacy"]),
    unfit=st.sets(st.sampled_from(["replica", "legacy"])),
    loaded_from=st.sampled_from([None, "default", "replica"]),
    prefers=st.sampled_from([None, use_primary, use_replica]),
    unsafe=st.booleans(),
    routers=st.sampled_from([[REPLICA, APP], [REPLICA], [APP]]),
    model=st.sampled_from([User, Session]),
)
def test_explain_route__any_state(
    *,
    owed: Any,
    last: str | None,
    unfit: set[str],
    loaded_from: str | None,
    prefers: Any,
    unsafe: bool,
    routers: list[str],
    model: Any,
) -> None:
    """It names the alias that a query gets a moment later, counts nothing and changes nothing that is owed."""
    with (
        lagging("replica", "legacy") as group,
        override_settings(DATABASE_ROUTERS=routers),
        activate(context.request_context(unsafe_method=unsafe)) as request,
        prefers() if prefers else activate(request),
    ):
        replayed(group, unfit=tuple(unfit), replica=500, legacy=600)
        ledger = request.consistency
        if owed is not None:
            ledger.require("default", PendingPosition(inf) if owed == inf else at(owed))
        if last is not None:
            ledger.last_replica["default"] = last
        before = dict(ledger.required), dict(ledger.last_replica)
        instance = None
        if loaded_from is not None:
            instance = User()
            instance._state.db = loaded_from
        with recorded() as decisions:
            explained = explain_route(model, instance)

        assert decisions == []
        assert (ledger.required, ledger.last_replica) == before
        hints = {} if instance is None else {"instance": instance}
        assert explained.alias == router.db_for_read(model, **hints)
