"""The service's databases, and the apps that are not installed because one of them is absent."""

from pathlib import Path

import pytest

from config.databases import Topology, topology
from config.service_apps import SERVICE_APPS, ServiceApp
from switchyard.environment import ConfigurationError

DATA_DIR = Path("/data")
DEFAULT = {"DATABASE_DEFAULT_URL": "postgres://app:pw@primary/switchyard"}
ALL = DEFAULT | {
    "DATABASE_REPLICA_URL": "postgres://app:pw@standby/switchyard",
    "DATABASE_ANALYTICS_URL": "postgres://app:pw@analytics/switchyard",
    "DATABASE_LEGACY_URL": "mysql://app:pw@legacy/switchyard",
}
APPS = [app for app in SERVICE_APPS if app.label in {"accounts", "analytics", "reporting", "legacy"}]
BILLING = ServiceApp("billing", owner="billing")
DJANGO = {
    "admin": "default",
    "auth": "default",
    "contenttypes": "default",
    "django_cache": "default",
    "sessions": "default",
}
OWNERS = {"accounts": "default", "analytics": "analytics", "reporting": "analytics", "legacy": "legacy", **DJANGO}


def read(environ: dict[str, str], *more: ServiceApp) -> Topology:
    """Read an environment, for the four apps and perhaps more."""
    return topology(environ, data_dir=DATA_DIR, apps=[*APPS, *more])


@pytest.mark.parametrize("environ", [{}, ALL])
def test_topology__nothing_absent(environ: dict[str, str]) -> None:
    """With all URLs, and with none, every app has its owner and `default` has its replica."""
    found = read(environ)

    assert found.databases.keys() == {"default", "replica", "analytics", "legacy"}
    assert found.switchyard["OWNERS"] == OWNERS
    assert found.switchyard["REPLICAS"] == {"default": ["replica"]}
    assert (found.absent, found.notices) == ({}, ())


def test_topology__one_url() -> None:
    """As soon as one URL is set, an alias without a URL is absent, and the apps that it owns are not installed."""
    found = read(DEFAULT)

    assert found.switchyard["OWNERS"] == {"accounts": "default", **DJANGO}
    assert found.absent == {"analytics": "analytics", "reporting": "analytics", "legacy": "legacy"}


def test_topology__notices() -> None:
    """Each absent replica and each absent app has one line: the cause, and the variable that brings it back."""
    found = read(DEFAULT | {"DATABASE_DEFAULT_APPS": "reporting"})

    assert found.notices == (
        "Alias 'replica', a replica of 'default', is absent. Set DATABASE_REPLICA_URL to add it.",
        "App 'analytics' is not installed: its owner 'analytics' is absent. Set DATABASE_ANALYTICS_URL to install it.",
        (
            "App 'reporting' is not installed: it imports an app of 'analytics', which is absent."
            " Set DATABASE_ANALYTICS_URL to install it."
        ),
        "App 'legacy' is not installed: its owner 'legacy' is absent. Set DATABASE_LEGACY_URL to install it.",
    )


def test_topology__an_app_more() -> None:
    """One row in the table adds the app and its alias."""
    url = {"DATABASE_BILLING_URL": "mysql://app:pw@billing/switchyard"}

    assert read({}, BILLING).databases["billing"]["NAME"] == "/data/billing.sqlite3"
    assert read(ALL | url, BILLING).switchyard["OWNERS"]["billing"] == "billing"
    assert read(ALL, BILLING).absent == {"billing": "billing"}


def test_topology__an_app_whose_owner_is_elsewhere() -> None:
    """An app of an absent alias may be given to another."""
    found = read(DEFAULT | {"DATABASE_DEFAULT_APPS": "analytics,reporting"})

    assert found.absent == {"legacy": "legacy"}


def test_topology__an_app_that_needs_an_absent_one() -> None:
    """Without the alias of `analytics`, `reporting` is absent too, whatever its owner: it imports `analytics`."""
    found = read(DEFAULT | {"DATABASE_DEFAULT_APPS": "reporting"})

    assert found.absent == {"analytics": "analytics", "reporting": "analytics", "legacy": "legacy"}
    assert "reporting" not in found.switchyard["OWNERS"]


def test_topology__refused() -> None:
    """A variable that cannot be used ends the start."""
    with pytest.raises(
        ConfigurationError, match=r"^DATABASE_LEGACY_APPS='shop' names an unknown app\. Known apps: acc"
    ):
        read(ALL | {"DATABASE_LEGACY_APPS": "shop"})


@pytest.mark.parametrize("value", ["false", "true", ""])
def test_topology__legacy_managed(value: str) -> None:
    """The variable that DATABASE_LEGACY_MANAGED replaced is refused: ignored, it would let migrations run."""
    with pytest.raises(ConfigurationError, match=r"^LEGACY_MANAGED has another name now\. Set DATABASE_LEGACY_MANAGED"):
        read(ALL | {"LEGACY_MANAGED": value})
