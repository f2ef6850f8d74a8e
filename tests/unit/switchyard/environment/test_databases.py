"""DATABASES and SWITCHYARD that `from_environment()` reads from the environment."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.conf import PRIMARY_ONLY
from switchyard.environment import ConfigurationError, from_environment

DATA_DIR = Path("/data")
DEFAULT = {"DATABASE_DEFAULT_URL": "postgres://app:pw@primary/switchyard"}
REPLICA = {"DATABASE_REPLICA_URL": "postgres://app:pw@standby/switchyard"}
ANALYTICS = {"DATABASE_ANALYTICS_URL": "postgres://app:pw@analytics/switchyard"}
LEGACY = {"DATABASE_LEGACY_URL": "mysql://app:pw@legacy/switchyard"}
ALL = DEFAULT | REPLICA | ANALYTICS | LEGACY
APPS = {"accounts": "default", "analytics": "analytics", "reporting": "analytics", "legacy": "legacy"}
DJANGO = {
    "admin": "default",
    "auth": "default",
    "contenttypes": "default",
    "django_cache": "default",
    "sessions": "default",
}
OWNERS = {**APPS, **DJANGO}


class Found(NamedTuple):
    """What `from_environment()` returned."""

    databases: dict[str, dict[str, Any]]
    switchyard: dict[str, Any]


def read(environ: dict[str, str], **more: str) -> Found:
    """Read an environment, for the four apps and perhaps more; their owners may be absent."""
    return Found(
        *from_environment(
            owners=APPS | more,
            data_dir=DATA_DIR,
            replica_of={"replica": "default"},
            absent_owners=True,
            environ=environ,
        )
    )


def outcome(environ: dict[str, str]) -> Found | ConfigurationError:
    """Read an environment, or return the error."""
    try:
        return read(environ)
    except ConfigurationError as error:
        return error


@pytest.mark.parametrize("environ", [{}, {"HOME": "/root", "DATA_DIR": "/elsewhere"}])
def test_from_environment__nothing_set(environ: dict[str, str]) -> None:
    """Without a variable each owner is an SQLite file, and the replica opens its owner's file read-only."""
    found = read(environ)

    assert {alias: entry["NAME"] for alias, entry in found.databases.items()} == {
        "default": "/data/default.sqlite3",
        "analytics": "/data/analytics.sqlite3",
        "legacy": "/data/legacy.sqlite3",
        "replica": "file:///data/default.sqlite3?mode=ro",
    }
    assert found.databases["replica"]["TEST"] == {"MIRROR": "default"}
    assert found.switchyard["REPLICAS"] == {"default": ["replica"]}
    assert found.switchyard["OWNERS"] == OWNERS


def test_from_environment__all_four() -> None:
    """Each URL adds its alias; the replica's session is read-only, and tests read the owner through it."""
    found = read(ALL)

    assert list(found.databases) == ["default", "analytics", "legacy", "replica"]
    assert "default_transaction_read_only=on" in found.databases["replica"]["OPTIONS"]["options"]
    assert "default_transaction_read_only" not in found.databases["default"]["OPTIONS"]["options"]
    assert found.databases["replica"]["TEST"] == {"MIRROR": "default"}
    assert found.switchyard["REPLICAS"] == {"default": ["replica"]}
    assert found.switchyard["OWNERS"] == OWNERS
    assert found.switchyard["OPTIONAL"] == frozenset()


def test_from_environment__one_url() -> None:
    """As soon as one URL is set, an alias without a URL is absent, and so are the apps that it owns."""
    found = read(DEFAULT)

    assert list(found.databases) == ["default"]
    assert found.switchyard["REPLICAS"] == {}
    assert found.switchyard["OWNERS"] == {"accounts": "default", **DJANGO}


def test_from_environment__an_alias_of_its_own() -> None:
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

    assert found.switchyard["REPLICAS"] == {"default": ["replica", "replica2"]}
    assert found.switchyard["OWNERS"]["reporting"] == "reports"
    assert found.switchyard["OWNERS"]["analytics"] == "analytics"


def test_from_environment__the_replica_of_another() -> None:
    """The environment may change the owner that `replica` replicates."""
    found = read(ALL | {"DATABASE_REPLICA_REPLICA_OF": "analytics"})

    assert found.switchyard["REPLICAS"] == {"analytics": ["replica"]}
    assert found.databases["replica"]["TEST"] == {"MIRROR": "analytics"}


def test_from_environment__an_app_whose_owner_is_elsewhere() -> None:
    """An app of an absent alias may be given to another."""
    found = read(DEFAULT | {"DATABASE_DEFAULT_APPS": "analytics,reporting"})

    assert found.switchyard["OWNERS"] == {
        "accounts": "default",
        "analytics": "default",
        "reporting": "default",
        **DJANGO,
    }


def test_from_environment__not_required() -> None:
    """An owner with REQUIRED=false is optional; a replica is never required, and so is not listed."""
    found = read(ALL | {"DATABASE_LEGACY_REQUIRED": "false", "DATABASE_REPLICA_REQUIRED": "false"})

    assert found.switchyard["OPTIONAL"] == {"legacy"}


def test_from_environment__not_managed() -> None:
    """An owner with MANAGED=false is unmanaged; its replica has the same tables and is not listed."""
    found = read(ALL | {"DATABASE_LEGACY_MANAGED": "false", "DATABASE_DEFAULT_MANAGED": "true"})

    assert found.switchyard["UNMANAGED"] == {"legacy"}
    assert read(ALL).switchyard["UNMANAGED"] == read({}).switchyard["UNMANAGED"] == frozenset()


def test_from_environment__max_lag() -> None:
    """Only the replicas with a MAX_LAG variable are listed; the others have the default."""
    found = read(ALL | {"DATABASE_REPLICA_MAX_LAG_SECONDS": "5", "DATABASE_LEGACY_MAX_LAG_SECONDS": ""})

    assert found.switchyard["MAX_LAG_SECONDS"] == {"replica": 5}
    assert read(ALL).switchyard["MAX_LAG_SECONDS"] == {}


def test_from_environment__password_file(tmp_path: Path) -> None:
    """A password from a file is not percent-decoded."""
    (tmp_path / "password").write_text("p%40 ss\n")

    found = read(
        {
            "DATABASE_DEFAULT_URL": "postgres://app@primary/switchyard",
            "DATABASE_DEFAULT_PASSWORD_FILE": str(tmp_path / "password"),
        }
    )

    assert found.databases["default"]["PASSWORD"] == "p%40 ss"


def test_from_environment__an_app_more() -> None:
    """DATABASE_<ALIAS>_APPS may name an app of the alias, or move it to another one."""
    url = {"DATABASE_BILLING_URL": "mysql://app:pw@billing/switchyard"}

    assert read({}, billing="billing").databases["billing"]["NAME"] == "/data/billing.sqlite3"
    for environ in (ALL | url, ALL | url | {"DATABASE_BILLING_APPS": "billing"}):
        found = read(environ, billing="billing")
        assert found.switchyard["OWNERS"]["billing"] == "billing"
        assert found.databases["billing"]["HOST"] == "billing"
    moved = read(ALL | {"DATABASE_DEFAULT_APPS": "billing"}, billing="billing")
    assert moved.switchyard["OWNERS"]["billing"] == "default"


def test_from_environment__an_absent_owner() -> None:
    """Without `absent_owners`, an app whose owner has no URL ends the start; another alias may take the app."""
    owners = {"shop": "default", "events": "analytics"}

    with pytest.raises(ConfigurationError) as refused:
        from_environment(owners=owners, data_dir=DATA_DIR, environ=DEFAULT)
    _, switchyard = from_environment(
        owners=owners, data_dir=DATA_DIR, environ=DEFAULT | {"DATABASE_DEFAULT_APPS": "events"}
    )

    assert str(refused.value) == (
        "DATABASE_ANALYTICS_URL is not set, and the settings give the app 'events' to 'analytics'."
        " Set it, or name events in DATABASE_<ALIAS>_APPS of another alias."
    )
    assert switchyard["OWNERS"] == {**DJANGO, "shop": "default", "events": "default"}


def test_from_environment__all_other_apps() -> None:
    """With the label "*" every app has an owner, so a variable may give any app to an alias."""
    _, switchyard = from_environment(
        owners={"*": "default", "sites": "analytics"},
        data_dir=DATA_DIR,
        environ=DEFAULT | ANALYTICS | {"DATABASE_ANALYTICS_APPS": "shop"},
    )

    assert switchyard["OWNERS"] == {**DJANGO, "*": "default", "sites": "analytics", "shop": "analytics"}


@pytest.mark.parametrize("alias", ["Analytics", "my_analytics", "a" * 16, "2nd", ""])
@pytest.mark.parametrize("argument", ["owners", "replica_of"])
def test_from_environment__an_alias_without_a_variable(argument: str, alias: str) -> None:
    """An alias of the settings that no variable can name is refused."""
    arguments = {"owners": {"shop": "default"}, argument: {"shop": alias}}

    with pytest.raises(ValueError, match=re.escape(f"can name the alias {alias!r}")):
        from_environment(**arguments, data_dir=DATA_DIR, environ={})


@pytest.mark.parametrize("environ", [{}, DEFAULT])
def test_from_environment__metrics_dir(environ: dict[str, str]) -> None:
    """METRICS_DIR is the directory of the shared counters; without it each process counts alone."""

    def metrics_dir(environ: dict[str, str]) -> str | None:
        found: str | None = from_environment(owners={}, data_dir=DATA_DIR, environ=environ)[1]["METRICS_DIR"]
        return found

    assert metrics_dir(environ | {"METRICS_DIR": "/run/metrics"}) == "/run/metrics"
    assert metrics_dir(environ | {"METRICS_DIR": ""}) is metrics_dir(environ) is None


@pytest.mark.parametrize("environ", [{}, DEFAULT])
def test_from_environment__console_peers(environ: dict[str, str]) -> None:
    """CONSOLE_PEERS has names with ports, separated by commas."""
    given = environ | {"CONSOLE_PEERS": "web-pods:9464, other:9464"}

    assert from_environment(owners={}, data_dir=DATA_DIR, environ=given)[1]["CONSOLE_PEERS"] == [
        "web-pods:9464",
        "other:9464",
    ]
    assert from_environment(owners={}, data_dir=DATA_DIR, environ=environ)[1]["CONSOLE_PEERS"] == []


def test_from_environment__django_apps() -> None:
    """Django's own apps that get an owner are those that check W011 lets be absent."""
    assert DJANGO.keys() == PRIMARY_ONLY


def test_environment__without_django() -> None:
    """A settings module may import the package: nothing there imports Django, which reads the settings."""
    code = "import sys, switchyard.environment; print(any(name.startswith('django') for name in sys.modules))"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "False\n"


def test_from_environment__kubernetes_service_links() -> None:
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
            ALL | {"DATABASE_REPLICA_MANAGED": "false"},
            "DATABASE_REPLICA_MANAGED is false for a replica, whose tables are those of its owner. Set DATABASE",
        ),
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
            "sessions. Give a new app an owner in the settings first.",
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
def test_from_environment__refused(environ: dict[str, str], message: str) -> None:
    """A variable that cannot be used ends the start with one line: variable, value, problem, remedy."""
    with pytest.raises(ConfigurationError, match=re.escape(message)) as refused:
        read(environ)

    assert "pw" not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


ABOUT = st.sampled_from(["URL", "REPLICA_OF", "APPS", "REQUIRED", "MANAGED", "MAX_LAG_SECONDS"])
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
def test_from_environment__a_replica_in_its_owners_file(owner: str, replica: str) -> None:
    """An SQLite replica may open its owner's file, by whatever spelling of the path, and opens it read-only."""
    found = read({"DATABASE_DEFAULT_URL": owner, "DATABASE_REPLICA_URL": replica})

    assert found.switchyard["REPLICAS"] == {"default": ["replica"]}
    assert found.databases["replica"]["NAME"].endswith("?mode=ro")


@given(
    given_urls=st.sets(st.sampled_from(sorted(ALL))),
    environ=st.dictionaries(
        st.builds("DATABASE_{}_{}".format, st.sampled_from(["DEFAULT", "REPLICA", "ANALYTICS", "LEGACY", "X1"]), ABOUT),
        VALUES,
        max_size=4,
    ),
)
def test_from_environment__any_environment(given_urls: set[str], environ: dict[str, str]) -> None:
    """Any environment is refused with one line, or gives settings that agree with each other."""
    found = outcome({variable: ALL[variable] for variable in given_urls} | environ)

    if isinstance(found, ConfigurationError):
        assert len(str(found).splitlines()) == 1
        return
    replicas = {alias for aliases in found.switchyard["REPLICAS"].values() for alias in aliases}
    owners = found.databases.keys() - replicas
    assert "default" in owners
    assert found.switchyard["REPLICAS"].keys() <= owners
    assert replicas <= found.databases.keys()
    assert set(found.switchyard["OWNERS"].values()) <= owners
    assert found.switchyard["OPTIONAL"] <= owners
    assert found.switchyard["UNMANAGED"] <= owners
    assert found.switchyard["MAX_LAG_SECONDS"].keys() <= replicas
    assert DJANGO.keys() <= found.switchyard["OWNERS"].keys() <= OWNERS.keys()
    assert {alias for alias, entry in found.databases.items() if "TEST" in entry} == replicas
