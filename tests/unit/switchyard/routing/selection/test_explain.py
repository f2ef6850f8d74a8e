"""explain_route(): where a read goes and why. Nothing is counted and no state changes."""

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
    """Return a set whose two replicas have replayed 500 and 600, in a routing context of the test's own."""
    with lagging("replica", "legacy") as group, activate(context.task_context()):
        replayed(group, replica=500, legacy=600)
        yield group


def test_explain_route__default(group: ReplicationSet) -> None:
    """The results hold each rule before the rule that decided, without an alias."""
    found = explain_route(User)

    assert (found.model, found.owner, found.alias, found.rule) == ("accounts.User", "default", "replica", "replica")
    assert [result.rule for result in found.results if result.alias is None][-2:] == ["unsafe_method", "pinned"]
    assert found.results[-1].alias == "replica"
    assert str(found) == "accounts.User is read from 'replica' by rule 'replica': a fit replica that has caught up."


def test_explain_route__replicas(group: ReplicationSet) -> None:
    """The explanation holds what is known about each replica: why it is unfit, its lag and its position."""
    group.replace_snapshot([Replica("replica", "lagging", at(5), 31.0, 4096), Replica("legacy", "", at(600))])

    found = explain_route(User)

    assert found.alias == "legacy"
    assert found.replicas[0] == ("replica", "lagging", at(5), 31.0, 4096)


def test_explain_route__a_required_position(group: ReplicationSet) -> None:
    """The required position of this request decides, and the explanation does not change it."""
    current().consistency.require("default", at(900))

    assert (explain_route(User).alias, explain_route(User).rule) == ("default", "pinned")
    assert current().consistency.required == {"default": at(900)}


def test_explain_route__a_pending_position(group: ReplicationSet) -> None:
    """A pending position that a sample resolves stays pending in the state of the request."""
    written = PendingPosition(time.monotonic())
    current().consistency.require("default", written)
    sampled(group, 550)

    assert explain_route(User).alias == "legacy"
    assert current().consistency.required == {"default": written}


def test_explain_route__instance(group: ReplicationSet) -> None:
    """The instance whose related rows are read decides as in a query."""
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
    """The installed routers answer; if their alias is not the alias of the rules, `rule` names the router."""
    with override_settings(DATABASE_ROUTERS=routers):
        found = explain_route(User)

    assert (found.alias, found.rule) == (alias, rule)


class LegacyRouter:
    """A router of the project."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return "legacy"

    db_for_write = db_for_read


def test_explain_route__a_router_of_the_project(group: ReplicationSet) -> None:
    """The first router with an answer decides, for reads and writes."""
    with override_settings(DATABASE_ROUTERS=[LegacyRouter(), REPLICA, APP]):
        found = explain_route(User)

        assert (found.alias, found.rule) == ("legacy", "LegacyRouter")
        assert written_to(User) == "legacy"
    assert written_to(User) == "default"


@given(
    required=st.sampled_from([None, 100, 550, 900, inf]),
    last_replica=st.sampled_from([None, "replica", "legacy"]),
    unfit=st.sets(st.sampled_from(["replica", "legacy"])),
    loaded_from=st.sampled_from([None, "default", "replica"]),
    override=st.sampled_from([None, use_primary, use_replica]),
    unsafe_method=st.booleans(),
    routers=st.sampled_from([[REPLICA, APP], [REPLICA], [APP]]),
    model=st.sampled_from([User, Session]),
)
def test_explain_route__any_state(
    *,
    required: Any,
    last_replica: str | None,
    unfit: set[str],
    loaded_from: str | None,
    override: Any,
    unsafe_method: bool,
    routers: list[str],
    model: Any,
) -> None:
    """The explanation has the alias of the next query, counts no decision and changes no consistency state."""
    with (
        lagging("replica", "legacy") as group,
        override_settings(DATABASE_ROUTERS=routers),
        activate(context.request_context(unsafe_method=unsafe_method)) as request,
        override() if override else activate(request),
    ):
        replayed(group, unfit=tuple(unfit), replica=500, legacy=600)
        consistency = request.consistency
        if required is not None:
            consistency.require("default", PendingPosition(inf) if required == inf else at(required))
        if last_replica is not None:
            consistency.last_replica["default"] = last_replica
        before = dict(consistency.required), dict(consistency.last_replica)
        instance = None
        if loaded_from is not None:
            instance = User()
            instance._state.db = loaded_from
        with recorded() as decisions:
            explained = explain_route(model, instance)

        assert decisions == []
        assert (consistency.required, consistency.last_replica) == before
        hints = {} if instance is None else {"instance": instance}
        assert explained.alias == router.db_for_read(model, **hints)
