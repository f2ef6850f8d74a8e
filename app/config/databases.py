"""The topology of databases, read from the environment: which aliases exist, and which apps each one owns.

The result depends only on the environment, the files that it names, and the table of the service's apps.
database_url.py turns one URL into one entry of DATABASES.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from config import absences, env
from config.database_url import database, shown
from config.drivers import Database, sqlite
from config.env import ConfigurationError, Environ
from config.service_apps import SERVICE_APPS, ServiceApp

DJANGO_OWNERS = {
    "admin": "default",
    "auth": "default",
    "contenttypes": "default",
    "django_cache": "default",  # Django's database cache asks the routers with this label
    "sessions": "default",
}
REPLICA_OF = {"replica": "default"}

_VARIABLE = re.compile(
    r"DATABASE_(?P<alias>[A-Z][A-Z0-9]{0,14})_(?P<about>URL|PASSWORD_FILE|REPLICA_OF|APPS|REQUIRED|MAX_LAG_SECONDS)"
)
_SERVICE_LINK = re.compile(r"DATABASE_(?:\w+_)?(?:SERVICE_(?:HOST|PORT)|PORT)(?:_\w+)?")  # Kubernetes sets these itself


@dataclass(frozen=True)
class Topology:
    """The databases of the environment, as Django's and Switchyard's settings describe them."""

    databases: dict[str, Database]
    owners: dict[str, str]
    replicas: dict[str, list[str]]
    optional: frozenset[str] = frozenset()
    max_lag_seconds: dict[str, int] = field(default_factory=dict)  # replica -> seconds
    absent: dict[str, str] = field(default_factory=dict)  # app label -> the absent alias that the app needs
    notices: tuple[str, ...] = ()  # a line for each absent app and each absent replica


def topology(environ: Environ, *, data_dir: Path, apps: Sequence[ServiceApp] = SERVICE_APPS) -> Topology:
    """Return the databases that the environment describes; without a DATABASE_* variable, SQLite files in `data_dir`.

    Raises ConfigurationError for the first variable that cannot be used.
    """
    owners = DJANGO_OWNERS | {app.label: app.owner for app in apps}
    described = _described(environ)
    if not described:
        return _embedded(owners, data_dir)
    if "default" not in described:
        raise ConfigurationError(
            "DATABASE_DEFAULT_URL",
            "is not set",
            "Set it: once a DATABASE_* variable is set, only aliases other than default may be absent",
        )
    replica_of = _replica_of(environ, described)
    owners |= _apps(environ, described, replica_of, known=owners)
    absent = absences.absent_apps(apps, owners, described)
    databases = {
        alias: database(
            f"DATABASE_{alias.upper()}_URL",
            environ[f"DATABASE_{alias.upper()}_URL"],
            password=_password(environ, alias),
            read_only=alias in replica_of,
            data_dir=data_dir,
        )
        for alias in described
    }
    for alias, owner in replica_of.items():
        _refuse_unreplicated(environ, databases, alias, owner)
    _refuse_owning_replica(owners, replica_of)
    return Topology(
        databases=_mirrored(databases, replica_of),
        owners={app: owner for app, owner in owners.items() if app not in absent},
        replicas=_replicas(replica_of),
        optional=frozenset(_optional(environ, described, replica_of)),
        max_lag_seconds=_max_lag(environ, described, replica_of),
        absent=absent,
        notices=tuple(absences.notices(owners, REPLICA_OF, absent, described)),
    )


def _embedded(owners: dict[str, str], data_dir: Path) -> Topology:
    databases = {
        alias: sqlite(data_dir / f"{alias}.sqlite3", read_only=False) for alias in dict.fromkeys(owners.values())
    }
    for alias, owner in REPLICA_OF.items():
        databases[alias] = sqlite(data_dir / f"{owner}.sqlite3", read_only=True)
    return Topology(databases=_mirrored(databases, REPLICA_OF), owners=owners, replicas=_replicas(REPLICA_OF))


def _described(environ: Environ) -> list[str]:
    """Return the aliases that have a URL, default first; refuse unknown variables and aliases without a URL."""
    aliases: dict[str, set[str]] = defaultdict(set)
    for variable in sorted(name for name in environ if name.startswith("DATABASE_")):
        if found := _VARIABLE.fullmatch(variable):
            aliases[found["alias"]].add(found["about"])
        elif not _SERVICE_LINK.fullmatch(variable):
            raise ConfigurationError(
                variable,
                "is no variable of this service",
                "Use DATABASE_<ALIAS>_ and URL, PASSWORD_FILE, REPLICA_OF, APPS, REQUIRED or MAX_LAG_SECONDS,"
                " ALIAS being a letter and up to 14 letters and digits",
            )
    for alias, about in aliases.items():
        if "URL" not in about:
            raise ConfigurationError(
                f"DATABASE_{alias}_{min(about)}", f"is set without DATABASE_{alias}_URL", "Set that too, or remove this"
            )
    return sorted((alias.lower() for alias in aliases), key=lambda alias: (alias != "default", alias))


def _replica_of(environ: Environ, described: list[str]) -> dict[str, str]:
    """Return the owner of each replica."""
    replica_of = {
        alias: owner
        for alias in described
        if (owner := env.text(environ, f"DATABASE_{alias.upper()}_REPLICA_OF", REPLICA_OF.get(alias, "")))
    }
    for alias, owner in replica_of.items():
        variable = f"DATABASE_{alias.upper()}_REPLICA_OF"
        if alias == "default":
            raise ConfigurationError(variable, "makes default a replica", "Remove it", value=owner)
        if owner not in described:
            raise ConfigurationError(
                variable, "names no alias that has a URL", f"Name one of: {', '.join(described)}", value=owner
            )
        if owner == alias or owner in replica_of:
            raise ConfigurationError(variable, "names a replica", "Name the owner that it replicates", value=owner)
    return replica_of


def _apps(
    environ: Environ, described: list[str], replica_of: Mapping[str, str], *, known: Collection[str]
) -> dict[str, str]:
    """Return the apps that a variable DATABASE_<ALIAS>_APPS gives to an alias, with that alias."""
    claimed: dict[str, str] = {}
    for alias in described:
        variable = f"DATABASE_{alias.upper()}_APPS"
        for app in env.names(environ, variable):
            if alias in replica_of:
                raise ConfigurationError(variable, "gives an app to a replica", "Give it to its owner", value=app)
            if app not in known:
                raise ConfigurationError(
                    variable,
                    "names an unknown app",
                    f"Known apps: {', '.join(sorted(known))}. Add a new app to app/config/service_apps.py first",
                    value=app,
                )
            if claimed.setdefault(app, alias) != alias:
                raise ConfigurationError(
                    variable, f"names an app that {claimed[app]} claims too", "Name it for one alias", value=app
                )
    return claimed


def _refuse_owning_replica(owners: Mapping[str, str], replica_of: Mapping[str, str]) -> None:
    """Raise ConfigurationError for an alias that is a replica and owns an app by default."""
    for app, alias in owners.items():
        if alias in replica_of:
            raise ConfigurationError(
                f"DATABASE_{alias.upper()}_REPLICA_OF",
                f"makes a replica of the owner of {app}",
                f"Name {app} in DATABASE_<ALIAS>_APPS of an owner, or remove this",
                value=replica_of[alias],
            )


def _optional(environ: Environ, described: list[str], replica_of: Mapping[str, str]) -> list[str]:
    """Return the owners that the service runs without."""
    required = {
        alias: env.flag(environ, f"DATABASE_{alias.upper()}_REQUIRED", default=alias not in replica_of)
        for alias in described
    }
    for alias in replica_of:
        if required[alias]:
            raise ConfigurationError(
                f"DATABASE_{alias.upper()}_REQUIRED", "is true for a replica, which is never required", "Remove it"
            )
    return [alias for alias in described if not required[alias] and alias not in replica_of]


def _max_lag(environ: Environ, described: list[str], replica_of: Mapping[str, str]) -> dict[str, int]:
    """Return the seconds that each replica may be behind its owner, for the replicas that have a variable for it."""
    given: dict[str, int] = {}
    for alias in described:
        variable = f"DATABASE_{alias.upper()}_MAX_LAG_SECONDS"
        if not env.text(environ, variable, ""):
            continue
        if alias not in replica_of:
            raise ConfigurationError(
                variable, "is about an owner, which is never behind", "Set it for a replica", value=environ[variable]
            )
        given[alias] = env.number(environ, variable, 30, low=1, high=86400)
    return given


def _password(environ: Environ, alias: str) -> str | None:
    variable = f"DATABASE_{alias.upper()}_PASSWORD_FILE"
    path = env.text(environ, variable, "")
    return env.secret_file(variable, path) if path else None


def _refuse_unreplicated(environ: Environ, databases: Mapping[str, Database], alias: str, owner: str) -> None:
    """Raise ConfigurationError for a replica that cannot have its owner's rows."""
    if databases[alias]["ENGINE"] != databases[owner]["ENGINE"]:
        raise ConfigurationError(
            f"DATABASE_{alias.upper()}_REPLICA_OF",
            "names a server of another vendor",
            "Name the owner that it replicates",
            value=owner,
        )
    if databases[alias]["ENGINE"].endswith(".sqlite3") and _file(databases[alias]) != _file(databases[owner]):
        variable, owners = (f"DATABASE_{name.upper()}_URL" for name in (alias, owner))
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


def _mirrored(databases: dict[str, Database], replica_of: Mapping[str, str]) -> dict[str, Database]:
    """Let tests see the owner's rows through a replica, because Django's test runner replicates nothing else."""
    for alias, owner in replica_of.items():
        databases[alias]["TEST"] = {"MIRROR": owner}
    return databases


def _replicas(replica_of: Mapping[str, str]) -> dict[str, list[str]]:
    replicas: dict[str, list[str]] = {}
    for alias, owner in replica_of.items():
        replicas.setdefault(owner, []).append(alias)
    return replicas
