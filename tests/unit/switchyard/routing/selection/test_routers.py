"""The router matrix: app x operation x state -> alias, through Django's own ConnectionRouter and without a database."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models import Model
from django.db.transaction import Atomic
from django.db.utils import ConnectionRouter
from django.test import override_settings

from accounts.models import User
from analytics.models import AnalyticsEvent
from legacy.models import Customer
from reporting.models import AnalyticsReport
from switchyard.routing import AppRouter, PrimaryReplicaRouter, use_primary, use_replica
from switchyard.routing.connection_state import transaction_begins, transaction_ended
from switchyard.routing.selection.select import decide
from switchyard.routing.session import context
from switchyard.routing.session.context import activate
from switchyard.routing.topology.replication import replication_set

type State = Callable[[], AbstractContextManager[Any]]

STACKED = ("switchyard.routing.PrimaryReplicaRouter", "switchyard.routing.AppRouter")
REPLICA_ALONE, APP_ALONE = STACKED[:1], STACKED[1:]


def loaded(model: type[Model], alias: str | None) -> Model:
    """Return an instance as Django makes it of a row that it read from the alias."""
    instance = model(pk=1)
    instance._state.db = alias
    instance._state.adding = alias is None
    return instance


@contextmanager
def unfit() -> Iterator[None]:
    """Judge the replica unfit."""
    group = replication_set("default")
    before = group.snapshot.replicas
    group.replace_snapshot(each._replace(unfit_reason="down") if each.alias == "replica" else each for each in before)
    try:
        yield
    finally:
        group.replace_snapshot(before)


def block(alias: str, *, from_testcase: bool) -> State:
    """Return a state as `atomic(alias)` makes it, without its BEGIN."""

    @contextmanager
    def opened() -> Iterator[None]:
        connection, atomic = connections[alias], Atomic(alias, savepoint=True, durable=False)
        atomic._from_testcase = from_testcase
        connection.in_atomic_block, connection.atomic_blocks = True, [atomic]
        transaction_begins(connection)
        try:
            yield
        finally:
            connection.in_atomic_block, connection.atomic_blocks = False, []
            transaction_ended(connection)

    return opened


def unsafe() -> AbstractContextManager[Any]:
    """Return the state of a request that may write by what it reads."""
    return activate(context.request_context(unsafe_method=True))


def request() -> AbstractContextManager[Any]:
    """Return the state of a request that only reads."""
    return activate(context.request_context())


@contextmanager
def report_in_atomic() -> Iterator[None]:
    """Read for a report inside a transaction."""
    with in_atomic(), use_replica():
        yield


usual: State = nullcontext
in_atomic = block("default", from_testcase=False)
in_atomic_elsewhere = block("analytics", from_testcase=False)
in_testcase = block("default", from_testcase=True)

# routers, model, alias that the hinted instance was loaded from ("-": no hint), state, read, write
MATRIX: list[tuple[tuple[str, ...], type[Model], str | None, State, str, str]] = [
    (STACKED, User, "-", usual, "replica", "default"),
    (STACKED, AnalyticsEvent, "-", usual, "analytics", "analytics"),
    (STACKED, AnalyticsReport, "-", usual, "analytics", "analytics"),
    (STACKED, Customer, "-", usual, "legacy", "legacy"),
    (STACKED, Session, "-", usual, "default", "default"),
    (STACKED, ContentType, "-", usual, "default", "default"),
    # A transaction on the model's owner, not on another, and not a TestCase's.
    (STACKED, User, "-", in_atomic, "default", "default"),
    (STACKED, User, "-", in_atomic_elsewhere, "replica", "default"),
    (STACKED, User, "-", in_testcase, "replica", "default"),
    (STACKED, User, "replica", in_atomic, "default", "default"),
    (STACKED, AnalyticsEvent, "-", in_atomic, "analytics", "analytics"),
    (STACKED, User, "-", use_primary, "default", "default"),
    (STACKED, AnalyticsEvent, "-", use_primary, "analytics", "analytics"),
    (STACKED, User, "-", use_replica, "replica", "default"),
    (STACKED, User, "-", report_in_atomic, "replica", "default"),
    (STACKED, User, "default", use_replica, "replica", "default"),
    (STACKED, Session, "-", use_replica, "default", "default"),
    (STACKED, Customer, "-", use_replica, "legacy", "legacy"),
    (STACKED, User, "-", request, "replica", "default"),
    (STACKED, User, "-", unsafe, "default", "default"),
    (STACKED, AnalyticsEvent, "-", unsafe, "analytics", "analytics"),
    # The instance's alias counts only where it is the target's owner; a write never follows it.
    (STACKED, User, "default", usual, "default", "default"),
    (STACKED, User, "replica", usual, "replica", "default"),
    (STACKED, User, "analytics", usual, "replica", "default"),
    (STACKED, User, None, usual, "replica", "default"),
    (STACKED, AnalyticsEvent, "default", usual, "analytics", "analytics"),
    (STACKED, AnalyticsEvent, "replica", usual, "analytics", "analytics"),
    (STACKED, User, "-", unfit, "default", "default"),
    (STACKED, User, "replica", unfit, "default", "default"),
    # Each router alone.
    (REPLICA_ALONE, User, "-", usual, "replica", "default"),
    (REPLICA_ALONE, User, "default", usual, "default", "default"),
    (REPLICA_ALONE, User, "replica", usual, "replica", "default"),
    (REPLICA_ALONE, User, "-", in_atomic, "default", "default"),
    (REPLICA_ALONE, User, "-", unfit, "default", "default"),
    (REPLICA_ALONE, User, "replica", unfit, "default", "default"),
    (REPLICA_ALONE, AnalyticsEvent, "-", usual, "analytics", "analytics"),
    (REPLICA_ALONE, AnalyticsEvent, "default", usual, "analytics", "analytics"),
    (APP_ALONE, User, "-", usual, "default", "default"),
    (APP_ALONE, User, "replica", usual, "default", "default"),
    (APP_ALONE, AnalyticsEvent, "default", usual, "analytics", "analytics"),
    (APP_ALONE, Customer, "-", use_primary, "legacy", "legacy"),
]


@pytest.mark.parametrize(("routers", "model", "loaded_from", "within_", "read", "write"), MATRIX)
def test_routers__reads_and_writes(
    *, routers: tuple[str, ...], model: type[Model], loaded_from: str | None, within_: State, read: str, write: str
) -> None:
    """Each operation goes to the alias that the table says."""
    router = ConnectionRouter(routers)
    hints = {} if loaded_from == "-" else {"instance": loaded(model, loaded_from)}

    with within_():
        assert (read, write) == (router.db_for_read(model, **hints), router.db_for_write(model, **hints))


def test_routers__one_owner_and_a_replica() -> None:
    """With one owner for all apps, the replica's router alone does all that is needed."""
    router = ConnectionRouter(REPLICA_ALONE)

    with override_settings(SWITCHYARD={"OWNERS": {"*": "default"}, "REPLICAS": {"default": ["replica"]}}):
        assert router.db_for_read(Customer) == "replica"
        assert router.db_for_write(Customer, instance=loaded(Customer, "replica")) == "default"
        assert router.allow_migrate("default", "legacy")
        assert not router.allow_migrate("replica", "legacy")


def test_routers__two_replicas_of_which_one_is_unfit() -> None:
    """Reads go to the first replica that is fit."""
    router = ConnectionRouter(STACKED)

    with override_settings(SWITCHYARD={"OWNERS": {"*": "default"}, "REPLICAS": {"default": ["replica", "legacy"]}}):
        with request():
            assert router.db_for_read(User) == "replica"
        with unfit(), request():
            assert router.db_for_read(User) == "legacy"


@pytest.mark.parametrize("routers", [STACKED, REPLICA_ALONE, APP_ALONE])
@pytest.mark.parametrize(
    ("first", "second", "allowed"),
    [
        (loaded(User, "replica"), loaded(ContentType, "default"), True),
        (loaded(User, "default"), loaded(User, "replica"), True),
        (loaded(AnalyticsEvent, "analytics"), loaded(AnalyticsReport, None), True),
        (loaded(User, "default"), loaded(AnalyticsEvent, "analytics"), False),
        (loaded(User, None), loaded(Customer, None), False),
    ],
)
def test_routers__relations(routers: tuple[str, ...], first: Model, second: Model, allowed: bool) -> None:
    """Relations are allowed inside one replication set, wherever its rows came from, and nowhere else."""
    assert ConnectionRouter(routers).allow_relation(first, second) is allowed


@pytest.mark.parametrize("routers", [STACKED, REPLICA_ALONE, APP_ALONE])
@pytest.mark.parametrize("app", ["accounts", "analytics", "reporting", "legacy", "auth", "sessions"])
def test_routers__migrations(routers: tuple[str, ...], app: str) -> None:
    """An app migrates on its owner and nowhere else, least of all on a replica."""
    router = ConnectionRouter(routers)
    allowed = [alias for alias in connections if router.allow_migrate(alias, app)]

    assert [settings.SWITCHYARD["OWNERS"][app]] == allowed


@pytest.mark.parametrize("router", [PrimaryReplicaRouter(), AppRouter()])
def test_routers__an_unowned_app(router: PrimaryReplicaRouter | AppRouter) -> None:
    """Nothing falls through to `default`: the error says where to add the app."""
    with override_settings(SWITCHYARD={"OWNERS": {"accounts": "default"}}):
        for ask in (router.db_for_read, router.db_for_write):
            with pytest.raises(ImproperlyConfigured, match=r"'legacy' has no owner. Add it to SWITCHYARD\['OWNERS'\]"):
                ask(Customer)
        with pytest.raises(ImproperlyConfigured, match="'no_such_app' has no owner"):
            router.allow_migrate("default", "no_such_app")


@pytest.mark.parametrize("router", [PrimaryReplicaRouter(), AppRouter()])
def test_allow_migrate__an_installed_app_without_an_owner(router: PrimaryReplicaRouter | AppRouter) -> None:
    """It migrates nowhere, and raises no error: Django's own checks ask, and E001 has to be shown."""
    with override_settings(SWITCHYARD={"OWNERS": {"accounts": "default"}}):
        assert [router.allow_migrate(alias, "legacy", model=Customer) for alias in connections] == [False] * 4


def test_primary_replica_router__without_a_fit_replica() -> None:
    """It leaves the read to the next router where Django's own choice would be the owner, too."""
    router = PrimaryReplicaRouter()

    with unfit():
        assert router.db_for_read(User) is None
        assert router.db_for_read(User, instance=loaded(User, "replica")) == "default"


def test_owner_of__a_proxy_in_another_app() -> None:
    """A proxy's rows are its concrete model's."""

    class LegacyUser(User):
        class Meta:
            proxy = True
            app_label = "legacy"

    try:
        assert AppRouter().db_for_write(LegacyUser) == "default"
    finally:
        del LegacyUser._meta.apps.all_models["legacy"]["legacyuser"]
        LegacyUser._meta.apps.clear_cache()


def test_decide__a_proxy_of_a_model_that_must_never_be_stale() -> None:
    """Its rows are as its concrete model's: read from the owner, whatever app the proxy is in."""

    class Team(Group):
        class Meta:
            proxy = True
            app_label = "accounts"

    try:
        assert (decide(Team).alias, decide(Team).rule) == ("default", "primary_only")
    finally:
        del Team._meta.apps.all_models["accounts"]["team"]
        Team._meta.apps.clear_cache()


def test_decide__the_database_cache() -> None:
    """Django asks with a class that is no model: its rows must never be stale."""
    owners = {**settings.SWITCHYARD["OWNERS"], "django_cache": "default"}
    entries = BaseDatabaseCache("cached", {}).cache_model_class
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "OWNERS": owners}):
        router = ConnectionRouter(STACKED)

        assert (router.db_for_read(entries), router.db_for_write(entries)) == ("default", "default")
        assert decide(entries).rule == "primary_only"


def test_allow_migrate__an_owner_without_replicas() -> None:
    """The replica's router leaves it to the next one; the app's router, always the last, answers."""
    assert PrimaryReplicaRouter().allow_migrate("analytics", "analytics") is None
    assert AppRouter().allow_migrate("analytics", "analytics") is True
    assert PrimaryReplicaRouter().allow_migrate("replica", "accounts") is False
