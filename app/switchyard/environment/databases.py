"""DATABASES and SWITCHYARD from the environment: which aliases exist, and which apps each one owns.

The result depends only on the arguments, the environment and the files that it names. roles.py reads the variables that
say what an alias is for; database_url.py turns one URL into one entry of DATABASES.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from switchyard.environment import env, roles
from switchyard.environment.database_url import database, shown
from switchyard.environment.drivers import Database, sqlite
from switchyard.environment.env import ConfigurationError, Environ

DJANGO_OWNERS = {
    "admin": "default",
    "auth": "default",
    "contenttypes": "default",
    "django_cache": "default",  # Django's database cache asks the routers with this label
    "sessions": "default",
}


def from_environment(
    *,
    owners: Mapping[str, str],
    data_dir: Path,
    replica_of: Mapping[str, str] | None = None,
    absent_owners: bool = False,
    environ: Environ | None = None,
) -> tuple[dict[str, Database], dict[str, Any]]:
    """Return DATABASES and SWITCHYARD for the aliases of the `DATABASE_<ALIAS>_URL` variables and their companions.

    `owners` maps the label of each app to its owner; the label `"*"` stands for all other apps. `admin`, `auth`,
    `contenttypes`, `django_cache` and `sessions` belong to `default` unless `owners` names them. `replica_of` maps a
    replica to its owner; variables may add to it. `environ` is `os.environ` unless it is given.

    Without any `DATABASE_*` variable, each owner is an SQLite file in `data_dir`, and each replica in `replica_of`
    opens the file of its owner read-only. A relative SQLite path in a URL is relative to `data_dir`, which must exist
    when a database is opened. With one such variable, `default` must have a URL.

    SWITCHYARD has the keys OWNERS, REPLICAS, OPTIONAL, UNMANAGED, MAX_LAG_SECONDS, METRICS_DIR and CONSOLE_PEERS; add
    others as you need them.
    With `absent_owners`, an owner may have no URL: OWNERS then leaves out its apps, which must not be installed.

    Raises ConfigurationError, which ends the start with one line, for the first variable that cannot be used, and for
    an app whose owner has no URL. Raises ValueError if `owners` or `replica_of` has an alias that no variable can name.

    In a settings module, with `data_dir=BASE_DIR` and without `environ`:

        >>> DATABASES, SWITCHYARD = from_environment(
        ...     owners={"shop": "default", "events": "analytics"},
        ...     data_dir=Path("/srv/data"),
        ...     environ={
        ...         "DATABASE_DEFAULT_URL": "postgres://app:secret@primary.example.com/shop",
        ...         "DATABASE_REPLICA_URL": "postgres://app:secret@standby.example.com/shop",
        ...         "DATABASE_REPLICA_REPLICA_OF": "default",
        ...         "DATABASE_ANALYTICS_URL": "mysql://app:secret@analytics.example.com/events",
        ...     },
        ... )
        >>> {alias: entry["HOST"] for alias, entry in DATABASES.items()}
        {'default': 'primary.example.com', 'analytics': 'analytics.example.com', 'replica': 'standby.example.com'}
        >>> SWITCHYARD["REPLICAS"]
        {'default': ['replica']}
        >>> SWITCHYARD["OWNERS"]["events"]
        'analytics'
    """
    environ = os.environ if environ is None else environ
    replica_of = dict(replica_of or {})
    roles.refuse_unnamable({*owners.values(), *replica_of, *replica_of.values()})
    owners = DJANGO_OWNERS | dict(owners)
    described = roles.aliases_with_url(environ)
    if not described:
        return _embedded(owners, replica_of, data_dir), _switchyard(environ, owners, replica_of)
    if "default" not in described:
        raise ConfigurationError(
            "DATABASE_DEFAULT_URL",
            "is not set",
            "Set it: once a DATABASE_* variable is set, only aliases other than default may be absent",
        )
    replica_of = roles.owners_of_replicas(environ, described, replica_of)
    owners |= roles.claimed_apps(environ, described, replica_of, known=owners)
    if not absent_owners:
        _refuse_absent(owners, described)
    databases = _databases(environ, described, replica_of, data_dir)
    _refuse_owning_replica(owners, replica_of)
    present = {app: owner for app, owner in owners.items() if owner in described}
    switchyard = _switchyard(environ, present, replica_of)
    switchyard["OPTIONAL"] = roles.optional_owners(environ, described, replica_of)
    switchyard["UNMANAGED"] = roles.unmanaged_owners(environ, described, replica_of)
    switchyard["MAX_LAG_SECONDS"] = roles.max_lag_seconds(environ, described, replica_of)
    return databases, switchyard


def _switchyard(environ: Environ, owners: Mapping[str, str], replica_of: Mapping[str, str]) -> dict[str, Any]:
    replicas: dict[str, list[str]] = {}
    for alias, owner in replica_of.items():
        replicas.setdefault(owner, []).append(alias)
    return {
        "OWNERS": dict(owners),
        "REPLICAS": replicas,
        "OPTIONAL": frozenset(),
        "UNMANAGED": frozenset(),
        "MAX_LAG_SECONDS": {},
        "METRICS_DIR": env.text(environ, "METRICS_DIR", "") or None,
        "CONSOLE_PEERS": env.names(environ, "CONSOLE_PEERS"),
    }


def _embedded(owners: Mapping[str, str], replica_of: Mapping[str, str], data_dir: Path) -> dict[str, Database]:
    databases = {
        alias: sqlite(data_dir / f"{alias}.sqlite3", read_only=False) for alias in dict.fromkeys(owners.values())
    }
    for alias, owner in replica_of.items():
        databases[alias] = sqlite(data_dir / f"{owner}.sqlite3", read_only=True)
    return _mirrored(databases, replica_of)


def _databases(
    environ: Environ, described: Iterable[str], replica_of: Mapping[str, str], data_dir: Path
) -> dict[str, Database]:
    databases = {
        alias: database(
            roles.variable_of(alias, "URL"),
            environ[roles.variable_of(alias, "URL")],
            password=roles.password(environ, alias),
            read_only=alias in replica_of,
            data_dir=data_dir,
        )
        for alias in described
    }
    for alias, owner in replica_of.items():
        _refuse_unreplicated(environ, databases, alias, owner)
    return _mirrored(databases, replica_of)


def _mirrored(databases: dict[str, Database], replica_of: Mapping[str, str]) -> dict[str, Database]:
    """Let tests see the owner's rows through a replica, because Django's test runner replicates nothing else."""
    for alias, owner in replica_of.items():
        databases[alias]["TEST"] = {"MIRROR": owner}
    return databases


def _refuse_absent(owners: Mapping[str, str], described: Iterable[str]) -> None:
    """Raise ConfigurationError for an app whose owner has no URL."""
    for app, alias in owners.items():
        if alias not in described:
            raise ConfigurationError(
                roles.variable_of(alias, "URL"),
                f"is not set, and the settings give the app {app!r} to {alias!r}",
                f"Set it, or name {app} in DATABASE_<ALIAS>_APPS of another alias",
            )


def _refuse_owning_replica(owners: Mapping[str, str], replica_of: Mapping[str, str]) -> None:
    """Raise ConfigurationError for an alias that is a replica and owns an app by default."""
    for app, alias in owners.items():
        if alias in replica_of:
            raise ConfigurationError(
                roles.variable_of(alias, "REPLICA_OF"),
                f"makes a replica of the owner of {app}",
                f"Name {app} in DATABASE_<ALIAS>_APPS of an owner, or remove this",
                value=replica_of[alias],
            )


def _refuse_unreplicated(environ: Environ, databases: Mapping[str, Database], alias: str, owner: str) -> None:
    """Raise ConfigurationError for a replica that cannot have its owner's rows."""
    if databases[alias]["ENGINE"] != databases[owner]["ENGINE"]:
        raise ConfigurationError(
            roles.variable_of(alias, "REPLICA_OF"),
            "names a server of another vendor",
            "Name the owner that it replicates",
            value=owner,
        )
    if databases[alias]["ENGINE"].endswith(".sqlite3") and _file(databases[alias]) != _file(databases[owner]):
        variable, owners = (roles.variable_of(name, "URL") for name in (alias, owner))
        raise ConfigurationError(
            variable,
            f"names another SQLite file than {owners}, and nothing copies rows from file to file",
            f"Set it to the value of {owners}: the replica opens its owner's file read-only",
            value=shown(environ[variable]),
        )


def _file(entry: Database) -> Path:
    """Return the file of an SQLite entry; a read-only entry names the file as a URI."""
    name: str = entry["NAME"]
    return Path(unquote(urlsplit(name).path) if name.startswith("file:") else name).resolve()
