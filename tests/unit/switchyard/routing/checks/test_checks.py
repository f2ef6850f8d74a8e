"""One test per check id, and one that the checks are bound to Django."""

from typing import Any

import pytest
from django.contrib.contenttypes.fields import GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.core import checks
from django.db import connections, models
from django.test import override_settings
from django.test.utils import isolate_apps

from switchyard.routing.checks.databases import check_servers
from switchyard.routing.checks.ownership import check_routing
from switchyard.routing.checks.relations import _relations

OWNERS = {"*": "default"}
REPLICAS = {"default": ["replica"]}
APP, REPLICA = "switchyard.routing.AppRouter", "switchyard.routing.PrimaryReplicaRouter"

# id, SWITCHYARD, DATABASE_ROUTERS, parts of message and hint
WRONG: list[tuple[str, dict[str, Any], list[str], str, str]] = [
    ("E001", {"OWNERS": {"accounts": "default"}}, [APP], "'legacy' has models and no owner", "Add 'legacy': '<alias>'"),
    ("E002", {"OWNERS": {**OWNERS, "legacy": "lgacy"}}, [APP], "'legacy' to 'lgacy'", "one of: analytics, default"),
    ("E003", {"OWNERS": OWNERS, "REPLICAS": {"default": ["no"]}}, [APP], "names 'no'", "Add 'no' to DATABASES"),
    ("E003", {"OWNERS": OWNERS, "REPLICAS": {"no": ["replica"]}}, [APP], "names 'no'", "Add 'no' to DATABASES"),
    ("E004", {"OWNERS": OWNERS, "REPLICAS": {**REPLICAS, "replica": ["legacy"]}}, [APP], "'replica' is", "List the"),
    ("E005", {"OWNERS": {**OWNERS, "legacy": "replica"}, "REPLICAS": REPLICAS}, [APP], "'replica', which", "Give"),
    ("E006", {"OWNERS": OWNERS, "REPLICAS": REPLICAS}, [APP, REPLICA], "no replica is read", "first"),
    ("E007", {"OWNERS": OWNERS, "REPLICAS": {**REPLICAS, "legacy": ["replica"]}}, [APP], "default, legacy", "Leave"),
    ("E008", {"OWNERS": OWNERS, "READ_ONLY": ["lgacy"]}, [APP], "'READ_ONLY'] names 'lgacy'", "take 'lgacy' out"),
    (
        "E008",
        {"OWNERS": OWNERS, "REPLICAS": REPLICAS, "OPTIONAL": ["replica"]},
        [APP],
        "'OPTIONAL'] names",
        "no replica",
    ),
    ("E009", {"OWNERS": OWNERS, "POLICIES": {"stale": "warn"}}, [APP], "['stale'] is no policy", "stale_save, early_"),
    (
        "E009",
        {"OWNERS": OWNERS, "POLICIES": {"stale_save": "no"}},
        [APP],
        "['stale_save'] is 'no'",
        "raise, warn, allow",
    ),
    (
        "E009",
        {"OWNERS": OWNERS, "POLICIES": {"stale_save": {"accounts.User": "no"}}},
        [APP],
        "['stale_save']['accounts.User'] is 'no'",
        "raise, warn, allow",
    ),
    (
        "E009",
        {"OWNERS": OWNERS, "POLICIES": {"stale_save": {"User": "warn"}}},
        [APP],
        "['stale_save']['User'] names no model",
        "app_label.ModelName",
    ),
    (
        "E009",
        {"OWNERS": OWNERS, "POLICIES": {"early_on_commit": {"*": "warn"}}},
        [APP],
        "['early_on_commit'] is {'*': 'warn'}",
        "raise, warn, allow",
    ),
    (
        "E014",
        {"OWNERS": OWNERS, "MAX_LAG_SECONDS": "30"},
        [APP],
        "['MAX_LAG_SECONDS'] is '30', not a positive number of seconds",
        "the default is 30",
    ),
    ("E014", {"OWNERS": OWNERS, "MAX_LAG_SECONDS": float("nan")}, [APP], "['MAX_LAG_SECONDS'] is nan", "above 0"),
    (
        "E014",
        {"OWNERS": OWNERS, "REPLICAS": REPLICAS, "MAX_LAG_SECONDS": {"replica": True}},
        [APP],
        "['MAX_LAG_SECONDS']['replica'] is True",
        "above 0",
    ),
    (
        "E014",
        {"OWNERS": OWNERS, "REPLICAS": REPLICAS, "MAX_LAG_SECONDS": {"default": 5}},
        [APP],
        "['MAX_LAG_SECONDS']['default'] names no replica",
        "Name one of: replica",
    ),
    (
        "E011",
        {"OWNERS": {**OWNERS, "contenttypes": "legacy"}},
        [APP],
        "admin.LogEntry.content_type relates to contenttypes.ContentType, which is owned by 'legacy' and not",
        "rows_by_key()",
    ),
    (
        "E011",
        {"OWNERS": {**OWNERS, "auth": "legacy", "contenttypes": "legacy"}},
        [APP],
        "accounts.User.groups relates to auth.Group",
        "in a plain field",
    ),
    (
        "E012",
        {"OWNERS": {**OWNERS, "contenttypes": "legacy"}},
        [APP],
        "'auth' to 'default' and 'contenttypes' to 'legacy'",
        "Give both to 'default'",
    ),
    ("W001", {"OWNERS": OWNERS, "REPLICAS": {"default": ["legacy"]}}, [APP], "'legacy' would", "{'MIRROR': 'default'}"),
]


@pytest.mark.parametrize(("check_id", "switchyard", "routers", "message", "hint"), WRONG)
def test_check__a_wrong_setting(
    *, check_id: str, switchyard: dict[str, Any], routers: list[str], message: str, hint: str
) -> None:
    """The check with that id reports the mistake and the remedy."""
    with override_settings(SWITCHYARD=switchyard, DATABASE_ROUTERS=routers):
        found = [each for each in check_routing() if each.id == f"switchyard.{check_id}"]

    assert found
    assert any(message in each.msg and hint in str(each.hint) for each in found), found


ROUTING, SESSIONS = "switchyard.routing.RoutingMiddleware", "django.contrib.sessions.middleware.SessionMiddleware"


@pytest.mark.parametrize(
    ("check_id", "middleware", "message", "hint"),
    [
        ("W003", [SESSIONS, "no.such.Middleware"], "RoutingMiddleware is not in MIDDLEWARE", "first in MIDDLEWARE"),
        ("W004", [SESSIONS, ROUTING], f"'{SESSIONS}' stands before", f"before '{SESSIONS}'"),
    ],
)
def test_check__middleware(check_id: str, middleware: list[str], message: str, hint: str) -> None:
    """With replicas, RoutingMiddleware must come before a middleware that writes; without replicas it is not needed."""
    with override_settings(SWITCHYARD={"OWNERS": OWNERS, "REPLICAS": REPLICAS}, MIDDLEWARE=middleware):
        (found,) = check_routing()
    with override_settings(SWITCHYARD={"OWNERS": OWNERS}, MIDDLEWARE=middleware):
        assert check_routing() == []

    assert found.id == f"switchyard.{check_id}"
    assert message in found.msg
    assert hint in str(found.hint)


@pytest.mark.parametrize(
    ("check_id", "settings", "message", "hint"),
    [
        ("E010", {"ATOMIC_REQUESTS": True}, "opens a transaction on 'legacy'", "transaction.atomic(using='legacy')"),
        (
            "E013",
            {"OPTIONS": {"pool": {"max_size": 9}}, "CONN_MAX_AGE": 60},
            "a pool and CONN_MAX_AGE = 60",
            "Leave CONN_MAX_AGE",
        ),
        ("E013", {"OPTIONS": {"pool": {"max_size": 8}}, "CONN_MAX_AGE": None}, "CONN_MAX_AGE = None", "Leave CONN"),
        ("W002", {"OPTIONS": {"pool": True}}, "'legacy' has 4 connections for 8 threads", "['max_size'] to 8"),
        ("W002", {"OPTIONS": {"pool": {"min_size": 6}}}, "has 6 connections for 8 threads", "to 8 or more"),
        ("W002", {"OPTIONS": {"pool": {"min_size": 1, "max_size": 7}}}, "has 7 connections for 8", "to 8 or more"),
        (None, {"OPTIONS": {"pool": {"min_size": 1, "max_size": 8}}}, "", ""),
        (None, {"CONN_MAX_AGE": 60}, "", ""),
    ],
)
def test_check__databases(
    check_id: str | None, settings: dict[str, Any], message: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings of an alias that fail later, or only under load, are found at the start."""
    for key, value in settings.items():
        monkeypatch.setitem(connections.settings["legacy"], key, value)
    with override_settings(SWITCHYARD={"OWNERS": OWNERS, "THREADS": 8}):
        found = check_routing()

    assert [each.id for each in found] == ([f"switchyard.{check_id}"] if check_id else [])
    assert all(message in each.msg and hint in str(each.hint) for each in found), found


def test_check__default_may_be_atomic(monkeypatch: pytest.MonkeyPatch) -> None:
    """ATOMIC_REQUESTS on `default` is allowed, and without THREADS no pool is too small."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    monkeypatch.setitem(connections.settings["default"], "OPTIONS", {"pool": True})
    with override_settings(SWITCHYARD={"OWNERS": OWNERS}):
        assert check_routing() == []


@isolate_apps("legacy")
def test_check__a_generic_relation() -> None:
    """A generic relation is checked like other relations: its rows are read from the alias of the model."""

    class Tagged(models.Model):  # noqa: DJ008 - never printed
        tags = GenericRelation(ContentType)

        class Meta:
            app_label = "legacy"

    assert [field.name for field in _relations(Tagged)] == ["tags"]


@isolate_apps("legacy")
def test_check__a_relation_to_nothing() -> None:
    """A field that names no model is ignored, because Django reports it."""

    class Lost(models.Model):  # noqa: DJ008 - as above
        to = models.ForeignKey("nowhere.Nothing", models.CASCADE)

        class Meta:
            app_label = "legacy"

    assert list(_relations(Lost)) == []


def test_check_servers__tag() -> None:
    """Without `--database`, and for a vendor without positions, no server is queried."""
    assert check_servers in checks.registry.registry.get_checks(include_deployment_checks=True)
    assert check_servers.tags == (checks.Tags.database,)  # type: ignore[attr-defined]  # set by register()
    assert check_servers() == []
    assert check_servers(databases=["default", "legacy"]) == []


@pytest.mark.parametrize("routers", [[REPLICA, APP], [REPLICA], [APP], []])
def test_check__right_settings(routers: list[str]) -> None:
    """Right settings give no message."""
    with override_settings(SWITCHYARD={"OWNERS": OWNERS, "REPLICAS": REPLICAS}, DATABASE_ROUTERS=routers):
        assert check_routing() == []


def test_check__the_service_itself() -> None:
    """The settings of the service are right, and the checks run with those of Django."""
    assert [each for each in checks.run_checks() if str(each.id).startswith("switchyard.")] == []
    with override_settings(SWITCHYARD={"OWNERS": {}}):
        assert "switchyard.E001" in {each.id for each in checks.run_checks(tags=["switchyard"])}


def test_check__right_policies() -> None:
    """Policies may be set by key, and by model in any letter case."""
    policies = {"stale_save": {"accounts.user": "warn", "*": "allow"}, "early_on_commit": "warn"}
    with override_settings(SWITCHYARD={"OWNERS": OWNERS, "POLICIES": policies}):
        assert check_routing() == []


def test_check__touches_no_database() -> None:
    """The checks open no connection."""
    before = {alias: connections[alias].connection for alias in connections}
    check_routing()

    assert {alias: connections[alias].connection for alias in connections} == before
