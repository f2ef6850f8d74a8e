"""The routers: the alias for each app, operation and state, by Django's ConnectionRouter and without a database."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
from django.apps.registry import Apps
from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models import Model
from django.db.utils import ConnectionRouter
from django.test import override_settings
from django.utils.functional import SimpleLazyObject
from tests.support.published import published
from tests.support.transactions import transaction

from accounts.models import User
from analytics.models import AnalyticsEvent
from legacy.models import Customer
from reporting.models import AnalyticsReport
from switchyard.routing import AppRouter, PrimaryReplicaRouter, use_primary, use_replica
from switchyard.routing.selection.select import decide
from switchyard.routing.session import context
from switchyard.routing.session.context import activate
from switchyard.routing.topology.replication import replication_set

type State = Callable[[], AbstractContextManager[Any]]

STACKED = ("switchyard.routing.PrimaryReplicaRouter", "switchyard.routing.AppRouter")
REPLICA_ALONE, APP_ALONE = STACKED[:1], STACKED[1:]


def loaded(model: type[Model], alias: str | None) -> Model:
    """Return an instance as Django makes it from a row that it read from the alias; None for an unsaved instance."""
    instance = model(pk=1)
    instance._state.db = alias
    instance._state.adding = alias is None
    return instance


def unfit() -> AbstractContextManager[Any]:
    """Make `replica` unfit."""
    replicas = replication_set("default").snapshot.replicas
    return published(
        replicas=[each._replace(unfit_reason="down") if each.alias == "replica" else each for each in replicas]
    )


def in_atomic() -> AbstractContextManager[Any]:
    """Open a transaction on `default`."""
    return transaction("own")


def in_atomic_of_analytics() -> AbstractContextManager[Any]:
    """Open a transaction on `analytics`."""
    return transaction("own", "analytics")


def in_testcase() -> AbstractContextManager[Any]:
    """Open the transaction of a TestCase on `default`."""
    return transaction("testcase")


def unsafe_request() -> AbstractContextManager[Any]:
    """Begin a request that may write by what it reads."""
    return activate(context.request_context(unsafe_method=True))


def request() -> AbstractContextManager[Any]:
    """Begin a request that only reads."""
    return activate(context.request_context())


@contextmanager
def use_replica_in_atomic() -> Iterator[None]:
    """Prefer a replica inside a transaction."""
    with in_atomic(), use_replica():
        yield


usual: State = nullcontext

# routers, model, alias from which the hinted instance was loaded ("-": no hint), state, alias of reads, of writes
MATRIX: list[tuple[tuple[str, ...], type[Model], str | None, State, str, str]] = [
    (STACKED, User, "-", usual, "replica", "default"),
    (STACKED, AnalyticsEvent, "-", usual, "analytics", "analytics"),
    (STACKED, AnalyticsReport, "-", usual, "analytics", "analytics"),
    (STACKED, Customer, "-", usual, "legacy", "legacy"),
    (STACKED, Session, "-", usual, "default", "default"),
    (STACKED, ContentType, "-", usual, "default", "default"),
    # A transaction counts on the owner of the model, not on another owner, and not if a TestCase opened it.
    (STACKED, User, "-", in_atomic, "default", "default"),
    (STACKED, User, "-", in_atomic_of_analytics, "replica", "default"),
    (STACKED, User, "-", in_testcase, "replica", "default"),
    (STACKED, User, "replica", in_atomic, "default", "default"),
    (STACKED, AnalyticsEvent, "-", in_atomic, "analytics", "analytics"),
    (STACKED, User, "-", use_primary, "default", "default"),
    (STACKED, AnalyticsEvent, "-", use_primary, "analytics", "analytics"),
    (STACKED, User, "-", use_replica, "replica", "default"),
    (STACKED, User, "-", use_replica_in_atomic, "replica", "default"),
    (STACKED, User, "default", use_replica, "replica", "default"),
    (STACKED, Session, "-", use_replica, "default", "default"),
    (STACKED, Customer, "-", use_replica, "legacy", "legacy"),
    (STACKED, User, "-", request, "replica", "default"),
    (STACKED, User, "-", unsafe_request, "default", "default"),
    (STACKED, AnalyticsEvent, "-", unsafe_request, "analytics", "analytics"),
    # Reads go to the alias of the instance only if this alias is the owner of the model; writes go to the owner.
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


@pytest.mark.parametrize(("routers", "model", "loaded_from", "state", "read", "write"), MATRIX)
def test_routers__reads_and_writes(
    *, routers: tuple[str, ...], model: type[Model], loaded_from: str | None, state: State, read: str, write: str
) -> None:
    """Reads and writes go to the aliases of the table."""
    router = ConnectionRouter(routers)
    hints = {} if loaded_from == "-" else {"instance": loaded(model, loaded_from)}

    with state():
        assert (read, write) == (router.db_for_read(model, **hints), router.db_for_write(model, **hints))


def test_routers__one_owner_and_a_replica() -> None:
    """With one owner for all apps, PrimaryReplicaRouter alone is enough."""
    router = ConnectionRouter(REPLICA_ALONE)

    with override_settings(SWITCHYARD={"OWNERS": {"*": "default"}, "REPLICAS": {"default": ["replica"]}}):
        assert router.db_for_read(Customer) == "replica"
        assert router.db_for_write(Customer, instance=loaded(Customer, "replica")) == "default"
        assert router.allow_migrate("default", "legacy")
        assert not router.allow_migrate("replica", "legacy")


def test_routers__one_of_two_replicas_unfit() -> None:
    """Reads go to the first fit replica."""
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
    """Relations are allowed inside one replication set only, from whichever of its aliases the rows were loaded."""
    assert ConnectionRouter(routers).allow_relation(first, second) is allowed


@pytest.mark.parametrize("routers", [STACKED, REPLICA_ALONE, APP_ALONE])
@pytest.mark.parametrize("app", ["accounts", "analytics", "reporting", "legacy", "auth", "sessions"])
def test_routers__migrations(routers: tuple[str, ...], app: str) -> None:
    """An app migrates on its owner only, never on a replica."""
    router = ConnectionRouter(routers)
    allowed = [alias for alias in connections if router.allow_migrate(alias, app)]

    assert [settings.SWITCHYARD["OWNERS"][app]] == allowed


@pytest.mark.parametrize("router", [PrimaryReplicaRouter(), AppRouter()])
def test_routers__an_unowned_app(router: PrimaryReplicaRouter | AppRouter) -> None:
    """An app without an owner is not sent to `default`: the error says where to add the app."""
    with override_settings(SWITCHYARD={"OWNERS": {"accounts": "default"}}):
        for method in (router.db_for_read, router.db_for_write):
            with pytest.raises(ImproperlyConfigured, match=r"'legacy' has no owner. Add it to SWITCHYARD\['OWNERS'\]"):
                method(Customer)
        with pytest.raises(ImproperlyConfigured, match="'no_such_app' has no owner"):
            router.allow_migrate("default", "no_such_app")


@pytest.mark.parametrize("router", [PrimaryReplicaRouter(), AppRouter()])
def test_allow_migrate__an_installed_app_without_an_owner(router: PrimaryReplicaRouter | AppRouter) -> None:
    """The app migrates nowhere, without an error: Django's checks call the method, and check E001 reports the app."""
    with override_settings(SWITCHYARD={"OWNERS": {"accounts": "default"}}):
        assert {router.allow_migrate(alias, "legacy", model=Customer) for alias in connections} == {False}


def test_db_for_read__without_a_fit_replica() -> None:
    """The router leaves the read to the next router if Django's own choice is the owner as well."""
    router = PrimaryReplicaRouter()

    with unfit():
        assert router.db_for_read(User) is None
        assert router.db_for_read(User, instance=loaded(User, "replica")) == "default"


def test_db_for_write__a_proxy_in_another_app() -> None:
    """A proxy has the owner of its concrete model."""

    class LegacyUser(User):
        class Meta:
            proxy = True
            app_label = "legacy"

    try:
        assert AppRouter().db_for_write(LegacyUser) == "default"
    finally:
        del LegacyUser._meta.apps.all_models["legacy"]["legacyuser"]
        LegacyUser._meta.apps.clear_cache()


class Member(User):
    """A row of two tables, in no registry of an app."""

    class Meta:
        apps = Apps()
        app_label = "accounts"


class Account(User):
    """A proxy in another owner's app, in no registry of an app."""

    class Meta:
        apps = Apps()
        app_label = "legacy"
        proxy = True


def deferred() -> User:
    """Return an instance as Django makes it from a row without all columns."""
    return User.from_db("replica", ["id"], [1])


# What Django passes as an instance, and the class of the row.
INSTANCES: dict[str, Callable[[], Any]] = {
    "saved": lambda: loaded(User, "default"),
    "from a replica": lambda: loaded(User, "replica"),
    "unsaved": User,
    "deferred": deferred,
    "proxy": lambda: loaded(Account, "default"),
    "child with its own table": lambda: loaded(Member, "replica"),
    "lazy": lambda: SimpleLazyObject(lambda: loaded(User, "default")),
    "lazy and from a replica": lambda: SimpleLazyObject(lambda: loaded(User, "replica")),
    "lazy and unsaved": lambda: SimpleLazyObject(User),
    "lazy and lazy again": lambda: SimpleLazyObject(lambda: SimpleLazyObject(lambda: loaded(Account, "replica"))),
}


@pytest.mark.parametrize("kind", INSTANCES)
@pytest.mark.parametrize("routers", [STACKED, REPLICA_ALONE, APP_ALONE])
def test_router__what_django_passes(kind: str, routers: tuple[str, ...]) -> None:
    """An instance of any kind is related and routed by the row that it stands for."""
    router = ConnectionRouter(routers)
    instance, group, customer = INSTANCES[kind](), loaded(Group, "default"), loaded(Customer, "legacy")

    assert router.allow_relation(instance, group)
    assert router.allow_relation(group, instance)
    assert not router.allow_relation(instance, customer)
    assert not router.allow_relation(customer, instance)
    assert router.db_for_write(instance.__class__, instance=instance) == "default"
    assert router.db_for_write(Customer, instance=instance) == "legacy"
    from_owner = routers == APP_ALONE or instance._state.db == "default"
    assert router.db_for_read(User, instance=instance) == ("default" if from_owner else "replica")


def test_router__no_instance() -> None:
    """Django may pass None for the instance, for example when it validates a value without one."""
    router = ConnectionRouter(STACKED)

    assert (router.db_for_read(User, instance=None), router.db_for_write(User, instance=None)) == ("replica", "default")


def test_decide__a_proxy_of_a_primary_only_model() -> None:
    """The rows of the proxy are read from the owner, because the app of the concrete model decides."""

    class Team(Group):
        class Meta:
            proxy = True
            app_label = "accounts"

    try:
        assert (decide(Team).alias, decide(Team).rule) == ("default", "primary_only")
    finally:
        del Team._meta.apps.all_models["accounts"]["team"]
        Team._meta.apps.clear_cache()


def test_primary_only__adds_to_the_default() -> None:
    """The apps of PRIMARY_ONLY come in addition to those of Django, which must never be stale."""
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "PRIMARY_ONLY": ["accounts"]}):
        assert {decide(model).rule for model in (User, Group, Session, ContentType)} == {"primary_only"}


def test_decide__the_database_cache() -> None:
    """Django passes a class that is no model for its cache table, whose rows must never be stale."""
    owners = {**settings.SWITCHYARD["OWNERS"], "django_cache": "default"}
    entries = BaseDatabaseCache("cached", {}).cache_model_class
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "OWNERS": owners}):
        router = ConnectionRouter(STACKED)

        assert (router.db_for_read(entries), router.db_for_write(entries)) == ("default", "default")
        assert decide(entries).rule == "primary_only"


def test_allow_migrate__an_owner_without_replicas() -> None:
    """PrimaryReplicaRouter leaves the decision to the next router; AppRouter, which comes last, decides."""
    assert PrimaryReplicaRouter().allow_migrate("analytics", "analytics") is None
    assert AppRouter().allow_migrate("analytics", "analytics") is True
    assert PrimaryReplicaRouter().allow_migrate("replica", "accounts") is False
