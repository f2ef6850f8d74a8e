"""The topology that `topology()` reads from the environment."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.databases import Topology, topology
from config.env import ConfigurationError
from config.service_apps import SERVICE_APPS, ServiceApp

DATA_DIR = Path("/data")
DEFAULT = {"DATABASE_DEFAULT_URL": "postgres://app:pw@primary/switchyard"}
REPLICA = {"DATABASE_REPLICA_URL": "postgres://app:pw@standby/switchyard"}
ANALYTICS = {"DATABASE_ANALYTICS_URL": "postgres://app:pw@analytics/switchyard"}
LEGACY = {"DATABASE_LEGACY_URL": "mysql://app:pw@legacy/switchyard"}
ALL = DEFAULT | REPLICA | ANALYTICS | LEGACY
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


def outcome(environ: dict[str, str]) -> Topology | ConfigurationError:
    """Read an environment, or return the error."""
    try:
        return read(environ)
    except ConfigurationError as error:
        return error


@pytest.mark.parametrize("environ", [{}, {"HOME": "/root", "DATA_DIR": "/elsewhere"}])
def test_topology__nothing_set(environ: dict[str, str]) -> None:
    """Without a variable each owner is an SQLite file, and the replica opens its owner's file read-only."""
    found = read(environ)

    assert {alias: entry["NAME"] for alias, entry in found.databases.items()} == {
        "default": "/data/default.sqlite3",
        "analytics": "/data/analytics.sqlite3",
        "legacy": "/data/legacy.sqlite3",
        "replica": "file:///data/default.sqlite3?mode=ro",
    }
    assert found.databases["replica"]["TEST"] == {"MIRROR": "default"}
    assert found.replicas == {"default": ["replica"]}
    assert found.owners == OWNERS
    assert found.absent == {}


def test_topology__all_four() -> None:
    """Each URL adds its alias; the replica's session is read-only, and tests read the owner through it."""
    found = read(ALL)

    assert list(found.databases) == ["default", "analytics", "legacy", "replica"]
    assert "default_transaction_read_only=on" in found.databases["replica"]["OPTIONS"]["options"]
    assert "default_transaction_read_only" not in found.databases["default"]["OPTIONS"]["options"]
    assert found.databases["replica"]["TEST"] == {"MIRROR": "default"}
    assert found.replicas == {"default": ["replica"]}
    assert found.owners == OWNERS
    assert (found.optional, found.absent) == (frozenset(), {})


def test_topology__one_url() -> None:
    """As soon as one URL is set, an alias without a URL is absent, and the apps that it owns are not installed."""
    found = read(DEFAULT)

    assert list(found.databases) == ["default"]
    assert found.replicas == {}
    assert found.owners == {"accounts": "default", **DJANGO}
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
    assert read(ALL).notices == read({}).notices == ()


def test_topology__an_app_more() -> None:
    """One row in the table adds the app and its alias; DATABASE_<ALIAS>_APPS may name the app or move it."""
    url = {"DATABASE_BILLING_URL": "mysql://app:pw@billing/switchyard"}

    assert read({}, BILLING).databases["billing"]["NAME"] == "/data/billing.sqlite3"
    for environ in (ALL | url, ALL | url | {"DATABASE_BILLING_APPS": "billing"}):
        found = read(environ, BILLING)
        assert found.owners["billing"] == "billing"
        assert found.databases["billing"]["HOST"] == "billing"
    assert read(ALL | {"DATABASE_DEFAULT_APPS": "billing"}, BILLING).owners["billing"] == "default"
    assert read(ALL, BILLING).absent == {"billing": "billing"}


def test_topology__an_alias_of_its_own() -> None:
    """Any name adds an alias: here a second replica, and an owner that takes an app over from another."""
    found = read(
        ALL
        | {
            "DATABASE_REPLICA2_URL": "postgres://app:pw@standby2/switchyard",
            "DATABASE_REPLICA2_REPLICA_OF": "default",
            "DATABASE_REPORTS_URL": "postgres://app:pw@reports/switchyard",
            "DATABASE_REPORTS_APPS": "reporting",
        }
    )

    assert found.replicas == {"default": ["replica", "replica2"]}
    assert found.owners["reporting"] == "reports"
    assert found.owners["analytics"] == "analytics"


def test_topology__the_replica_of_another() -> None:
    """The environment may change the owner that `replica` replicates."""
    found = read(ALL | {"DATABASE_REPLICA_REPLICA_OF": "analytics"})

    assert found.replicas == {"analytics": ["replica"]}
    assert found.databases["replica"]["TEST"] == {"MIRROR": "analytics"}


def test_topology__an_app_whose_owner_is_elsewhere() -> None:
    """An app of an absent alias may be given to another."""
    found = read(DEFAULT | {"DATABASE_DEFAULT_APPS": "analytics,reporting"})

    assert found.owners == {"accounts": "default", "analytics": "default", "reporting": "default", **DJANGO}
    assert found.absent == {"legacy": "legacy"}


def test_topology__an_app_that_needs_an_absent_one() -> None:
    """Without the alias of `analytics`, `reporting` is absent too, whatever its owner: it imports `analytics`."""
    found = read(DEFAULT | {"DATABASE_DEFAULT_APPS": "reporting"})

    assert found.absent == {"analytics": "analytics", "reporting": "analytics", "legacy": "legacy"}


def test_topology__not_required() -> None:
    """An owner with REQUIRED=false is optional; a replica is never required, and so is not listed."""
    found = read(ALL | {"DATABASE_LEGACY_REQUIRED": "false", "DATABASE_REPLICA_REQUIRED": "false"})

    assert found.optional == {"legacy"}


def test_topology__max_lag() -> None:
    """Only the replicas with a MAX_LAG variable are listed; the others have the default."""
    found = read(ALL | {"DATABASE_REPLICA_MAX_LAG_SECONDS": "5", "DATABASE_LEGACY_MAX_LAG_SECONDS": ""})

    assert found.max_lag_seconds == {"replica": 5}
    assert read(ALL).max_lag_seconds == {}


def test_topology__password_file(tmp_path: Path) -> None:
    """A password from a file is not percent-decoded."""
    (tmp_path / "password").write_text("p%40 ss\n")

    found = read(
        {
            "DATABASE_DEFAULT_URL": "postgres://app@primary/switchyard",
            "DATABASE_DEFAULT_PASSWORD_FILE": str(tmp_path / "password"),
        }
    )

    assert found.databases["default"]["PASSWORD"] == "p%40 ss"


def test_topology__kubernetes_service_links() -> None:
    """The variables that Kubernetes sets for a Service called `database-default` are ignored."""
    links = {
        "DATABASE_DEFAULT_SERVICE_HOST": "10.0.0.1",
        "DATABASE_DEFAULT_SERVICE_PORT_POSTGRES": "5432",
        "DATABASE_DEFAULT_PORT": "tcp://10.0.0.1:5432",
        "DATABASE_DEFAULT_PORT_5432_TCP_ADDR": "10.0.0.1",
        "DATABASE_SERVICE_HOST": "10.0.0.1",
        "DATABASE_PORT": "tcp://10.0.0.1:5432",
    }

    assert read(ALL | links) == read(ALL)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (REPLICA, "DATABASE_DEFAULT_URL is not set."),
        (DEFAULT | {"DATABASE_LEGACY_URL": ""}, "DATABASE_LEGACY_URL='***' is empty"),
        ({"DATABASE_URL": "postgres://app:pw@primary/switchyard"}, "DATABASE_URL is no variable of this service."),
        (DEFAULT | {"DATABASE_DEFAULT_REPLICAOF": "x"}, "DATABASE_DEFAULT_REPLICAOF is no variable of this service."),
        (
            ALL | {"DATABASE_DEFAULT_MAX_LAG_SECONDS": "5"},
            "DATABASE_DEFAULT_MAX_LAG_SECONDS='5' is about an owner, which is never behind.",
        ),
        (ALL | {"DATABASE_REPLICA_MAX_LAG_SECONDS": "0"}, "DATABASE_REPLICA_MAX_LAG_SECONDS='0' is out of range."),
        (ALL | {"DATABASE_REPLICA_MAX_LAG_SECONDS": "1.5"}, "DATABASE_REPLICA_MAX_LAG_SECONDS='1.5' is out of range."),
        (
            {"DATABASE_REPLICA_MAX_LAG_SECONDS": "5"},
            "DATABASE_REPLICA_MAX_LAG_SECONDS is set without DATABASE_REPLICA_URL.",
        ),
        (DEFAULT | {"DATABASE_MY_OWN_URL": "x"}, "DATABASE_MY_OWN_URL is no variable of this service."),
        (DEFAULT | {"DATABASE_2ND_URL": "x"}, "DATABASE_2ND_URL is no variable of this service."),
        (DEFAULT | {"DATABASE_ABCDEFGHIJKLMNOP_URL": "x"}, "DATABASE_ABCDEFGHIJKLMNOP_URL is no variable"),
        (DEFAULT | {"DATABASE_legacy_URL": "x"}, "DATABASE_legacy_URL is no variable of this service."),
        (
            DEFAULT | {"DATABASE_LEGACY_REQUIRED": "false"},
            "DATABASE_LEGACY_REQUIRED is set without DATABASE_LEGACY_URL.",
        ),
        ({"DATABASE_LEGACY_REQUIRED": "false"}, "DATABASE_LEGACY_REQUIRED is set without DATABASE_LEGACY_URL."),
        (
            ALL | {"DATABASE_LEGACY_REQUIRED": "perhaps"},
            "DATABASE_LEGACY_REQUIRED='perhaps' is neither true nor false.",
        ),
        (ALL | {"DATABASE_REPLICA_REQUIRED": "true"}, "DATABASE_REPLICA_REQUIRED is true for a replica"),
        (
            ALL | {"DATABASE_REPLICA_REPLICA_OF": "nosuch"},
            "DATABASE_REPLICA_REPLICA_OF='nosuch' names no alias that has",
        ),
        (ALL | {"DATABASE_REPLICA_REPLICA_OF": "replica"}, "DATABASE_REPLICA_REPLICA_OF='replica' names a replica."),
        (ALL | {"DATABASE_LEGACY_REPLICA_OF": "replica"}, "DATABASE_LEGACY_REPLICA_OF='replica' names a replica."),
        (ALL | {"DATABASE_LEGACY_REPLICA_OF": "analytics"}, "DATABASE_LEGACY_REPLICA_OF='analytics' names a server of"),
        (ALL | {"DATABASE_DEFAULT_REPLICA_OF": "analytics"}, "DATABASE_DEFAULT_REPLICA_OF='analytics' makes default a"),
        (
            ALL | {"DATABASE_ANALYTICS_REPLICA_OF": "default"},
            "DATABASE_ANALYTICS_REPLICA_OF='default' makes a replica of the owner of analytics.",
        ),
        (ALL | {"DATABASE_REPLICA_APPS": "legacy"}, "DATABASE_REPLICA_APPS='legacy' gives an app to a replica."),
        (
            ALL | {"DATABASE_LEGACY_APPS": "shop"},
            "DATABASE_LEGACY_APPS='shop' names an unknown app. Known apps: accounts,",
        ),
        (
            ALL | {"DATABASE_LEGACY_APPS": "shop"},
            "sessions. Add a new app to app/config/service_apps.py first.",
        ),
        (
            ALL | {"DATABASE_DEFAULT_APPS": "legacy", "DATABASE_ANALYTICS_APPS": "legacy"},
            "DATABASE_ANALYTICS_APPS='legacy' names an app that default claims too.",
        ),
        (
            DEFAULT | {"DATABASE_DEFAULT_PASSWORD_FILE": "/nosuch"},
            "DATABASE_DEFAULT_PASSWORD_FILE='/nosuch' cannot be read (No such file or directory).",
        ),
        (
            {"DATABASE_DEFAULT_URL": "sqlite:///a.sqlite3", "DATABASE_REPLICA_URL": "sqlite:///b.sqlite3"},
            (
                "DATABASE_REPLICA_URL='sqlite:///b.sqlite3' names another SQLite file than DATABASE_DEFAULT_URL,"
                " and nothing copies rows from file to file. Set it to the value of DATABASE_DEFAULT_URL"
            ),
        ),
    ],
)
def test_topology__refused(environ: dict[str, str], message: str) -> None:
    """A variable that cannot be used ends the start with one line: variable, value, problem, remedy."""
    with pytest.raises(ConfigurationError, match=re.escape(message)) as refused:
        read(environ)

    assert "pw" not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


ABOUT = st.sampled_from(["URL", "REPLICA_OF", "APPS", "REQUIRED", "MAX_LAG_SECONDS"])
VALUES = st.one_of(
    st.sampled_from(
        ["", "default", "replica", "analytics", "true", "false", "legacy,reporting", "reporting", "5", *ALL.values()]
    ),
    st.text(),
)


@pytest.mark.parametrize(
    ("owner", "replica"),
    [
        ("sqlite:///a.sqlite3", "sqlite:///a.sqlite3"),
        ("sqlite:///a%20b.sqlite3", "sqlite:////data/a%20b.sqlite3"),
        ("sqlite:///dir/../a.sqlite3", "sqlite:///a.sqlite3"),
    ],
)
def test_topology__a_replica_in_its_owners_file(owner: str, replica: str) -> None:
    """An SQLite replica may open its owner's file, by whatever spelling of the path, and opens it read-only."""
    found = read({"DATABASE_DEFAULT_URL": owner, "DATABASE_REPLICA_URL": replica})

    assert found.replicas == {"default": ["replica"]}
    assert found.databases["replica"]["NAME"].endswith("?mode=ro")


@given(
    given_urls=st.sets(st.sampled_from(sorted(ALL))),
    environ=st.dictionaries(
        st.builds("DATABASE_{}_{}".format, st.sampled_from(["DEFAULT", "REPLICA", "ANALYTICS", "LEGACY", "X1"]), ABOUT),
        VALUES,
        max_size=4,
    ),
)
def test_topology__any_environment(given_urls: set[str], environ: dict[str, str]) -> None:
    """Any environment is refused with one line, or gives settings that agree with each other."""
    found = outcome({variable: ALL[variable] for variable in given_urls} | environ)

    if isinstance(found, ConfigurationError):
        assert len(str(found).splitlines()) == 1
        return
    replicas = {alias for aliases in found.replicas.values() for alias in aliases}
    owners = found.databases.keys() - replicas
    assert "default" in owners
    assert found.replicas.keys() <= owners
    assert replicas <= found.databases.keys()
    assert set(found.owners.values()) <= owners
    assert found.optional <= owners
    assert found.max_lag_seconds.keys() <= replicas
    assert found.owners.keys() | found.absent.keys() == OWNERS.keys()
    assert not found.owners.keys() & found.absent.keys()
    assert {alias for alias, entry in found.databases.items() if "TEST" in entry} == replicas
