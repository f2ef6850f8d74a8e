"""One test per check id, and one that the checks are bound to Django."""

from typing import Any

import pytest
from django.core import checks
from django.db import connections
from django.test import override_settings

from switchyard.routing.checks import check_routing

OWNERS = {"*": "default"}
REPLICAS = {"default": ["replica"]}
APP, REPLICA = "switchyard.routing.AppRouter", "switchyard.routing.PrimaryReplicaRouter"

# id, SWITCHYARD, DATABASE_ROUTERS, what message and hint say
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
    ("W001", {"OWNERS": OWNERS, "REPLICAS": {"default": ["legacy"]}}, [APP], "'legacy' would", "{'MIRROR': 'default'}"),
]


@pytest.mark.parametrize(("check_id", "switchyard", "routers", "message", "hint"), WRONG)
def test_check__a_wrong_setting(
    *, check_id: str, switchyard: dict[str, Any], routers: list[str], message: str, hint: str
) -> None:
    """The check with that id says what is wrong and what to do."""
    with override_settings(SWITCHYARD=switchyard, DATABASE_ROUTERS=routers):
        found = [each for each in check_routing() if each.id == f"switchyard.{check_id}"]

    assert found
    assert any(message in each.msg and hint in str(each.hint) for each in found), found


@pytest.mark.parametrize("routers", [[REPLICA, APP], [REPLICA], [APP], []])
def test_check__right_settings(routers: list[str]) -> None:
    """Nothing is said where nothing is wrong."""
    with override_settings(SWITCHYARD={"OWNERS": OWNERS, "REPLICAS": REPLICAS}, DATABASE_ROUTERS=routers):
        assert check_routing() == []


def test_check__the_service_itself() -> None:
    """The service's own settings are right, and the checks run with Django's."""
    assert [each for each in checks.run_checks() if str(each.id).startswith("switchyard.")] == []
    with override_settings(SWITCHYARD={"OWNERS": {}}):
        assert "switchyard.E001" in {each.id for each in checks.run_checks(tags=["switchyard"])}


def test_check__right_policies() -> None:
    """All three keys, by model as well, in any letter case of its label."""
    policies = {"stale_save": {"accounts.user": "warn", "*": "allow"}, "early_on_commit": "warn"}
    with override_settings(SWITCHYARD={"OWNERS": OWNERS, "POLICIES": policies}):
        assert check_routing() == []


def test_check__touches_no_database() -> None:
    """No connection is opened to find out."""
    before = {alias: connections[alias].connection for alias in connections}
    check_routing()

    assert {alias: connections[alias].connection for alias in connections} == before
