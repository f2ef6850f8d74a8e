"""Which aliases there are and what each is for, from the environment: a pure function of it and the files it names.

How one URL becomes one entry of DATABASES is database_url.py's.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config import env
from config.database_url import database
from config.drivers import Database, sqlite
from config.env import ConfigurationError, Environ

OWNERS = {
    "accounts": "default",
    "admin": "default",
    "auth": "default",
    "contenttypes": "default",
    "django_cache": "default",  # what Django's database cache asks the routers with
    "sessions": "default",
    "analytics": "analytics",
    "reporting": "analytics",
    "legacy": "legacy",
}
REPLICA_OF = {"replica": "default"}
NEEDS = {"reporting": "analytics"}  # an app that imports another's models goes where that one goes

_VARIABLE = re.compile(
    r"DATABASE_(?P<alias>[A-Z][A-Z0-9]{0,14})_(?P<about>URL|PASSWORD_FILE|REPLICA_OF|APPS|REQUIRED|MAX_LAG)"
)
_SERVICE_LINK = re.compile(r"DATABASE_(?:\w+_)?(?:SERVICE_(?:HOST|PORT)|PORT)(?:_\w+)?")  # Kubernetes sets these itself


@dataclass(frozen=True)
class Topology:
    """What the environment says about databases, in the words of Django's and Switchyard's settings."""

    databases: dict[str, Database]
    owners: dict[str, str]
    replicas: dict[str, list[str]]
    optional: frozenset[str] = frozenset()
    max_lag: dict[str, int] = field(default_factory=dict)  # replica -> seconds
    absent: dict[str, str] = field(default_factory=dict)  # app label -> alias it would need


def topology(environ: Environ, *, data_dir: Path) -> Topology:
    """Return the databases that the environment describes; without a DATABASE_* variable, SQLite files in `data_dir`.

    Raises ConfigurationError for the first variable that cannot be used.
    """
    described = _described(environ)
    if not described:
        return _embedded(data_dir)
    if "default" not in described:
        raise ConfigurationError("DATABASE_DEFAULT_URL", "is not set", "Set it: any alias but default may be absent")
    replica_of = _replica_of(environ, described)
    wanted = OWNERS | _apps(environ, described, replica_of)
    absent = {app: owner for app, owner in wanted.items() if owner not in described}
    absent |= {app: absent[needed] for app, needed in NEEDS.items() if needed in absent}
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
    return Topology(
        databases=_mirrored(databases, replica_of),
        owners={app: owner for app, owner in wanted.items() if app not in absent},
        replicas=_replicas(replica_of),
        optional=frozenset(_optional(environ, described, replica_of)),
        max_lag=_max_lag(environ, described, replica_of),
        absent=absent,
    )


def _embedded(data_dir: Path) -> Topology:
    databases = {
        alias: sqlite(data_dir / f"{alias}.sqlite3", read_only=False) for alias in dict.fromkeys(OWNERS.values())
    }
    for alias, owner in REPLICA_OF.items():
        databases[alias] = sqlite(data_dir / f"{owner}.sqlite3", read_only=True)
    return Topology(databases=_mirrored(databases, REPLICA_OF), owners=dict(OWNERS), replicas=_replicas(REPLICA_OF))


def _described(environ: Environ) -> list[str]:
    """Return the aliases that have a URL, default first; refuse variables that lead nowhere."""
    aliases: dict[str, set[str]] = defaultdict(set)
    for variable in sorted(name for name in environ if name.startswith("DATABASE_")):
        if found := _VARIABLE.fullmatch(variable):
            aliases[found["alias"]].add(found["about"])
        elif not _SERVICE_LINK.fullmatch(variable):
            raise ConfigurationError(
                variable,
                "is no variable of this service",
                "Use DATABASE_<ALIAS>_ and URL, PASSWORD_FILE, REPLICA_OF, APPS, REQUIRED or MAX_LAG,"
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


def _apps(environ: Environ, described: list[str], replica_of: Mapping[str, str]) -> dict[str, str]:
    """Return the owner of each app that some alias claims for itself."""
    claimed: dict[str, str] = {}
    for alias in described:
        variable = f"DATABASE_{alias.upper()}_APPS"
        for app in env.names(environ, variable):
            if alias in replica_of:
                raise ConfigurationError(variable, "gives an app to a replica", "Give it to its owner", value=app)
            if app not in OWNERS:
                known = ", ".join(sorted(OWNERS))
                raise ConfigurationError(variable, "names an unknown app", f"Known apps: {known}", value=app)
            if claimed.setdefault(app, alias) != alias:
                raise ConfigurationError(
                    variable, f"names an app that {claimed[app]} claims too", "Name it for one alias", value=app
                )
    return claimed


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
    """Return how many seconds each replica may be behind, of those that the environment says it of."""
    given: dict[str, int] = {}
    for alias in described:
        variable = f"DATABASE_{alias.upper()}_MAX_LAG"
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


def _mirrored(databases: dict[str, Database], replica_of: Mapping[str, str]) -> dict[str, Database]:
    """Let tests see the owner's rows through a replica, as Django's test runner has no other replication."""
    for alias, owner in replica_of.items():
        if databases[alias]["ENGINE"] != databases[owner]["ENGINE"]:
            raise ConfigurationError(
                f"DATABASE_{alias.upper()}_REPLICA_OF",
                "names a server of another vendor",
                "Name the owner that it replicates",
                value=owner,
            )
        databases[alias]["TEST"] = {"MIRROR": owner}
    return databases


def _replicas(replica_of: Mapping[str, str]) -> dict[str, list[str]]:
    replicas: dict[str, list[str]] = {}
    for alias, owner in replica_of.items():
        replicas.setdefault(owner, []).append(alias)
    return replicas
