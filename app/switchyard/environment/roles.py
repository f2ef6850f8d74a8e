"""The variables of an alias beside its URL: which aliases exist, what each one replicates and owns, and who needs it.

Every function raises ConfigurationError for the first variable that cannot be used.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from switchyard.environment import env
from switchyard.environment.env import ConfigurationError, Environ

_ALIAS = re.compile(r"[a-z][a-z0-9]{0,14}")
VARIABLE = re.compile(
    r"DATABASE_(?P<alias>[A-Z][A-Z0-9]{0,14})"
    r"_(?P<about>URL|PASSWORD_FILE|REPLICA_OF|APPS|REQUIRED|MANAGED|MAX_LAG_SECONDS)"
)
_SERVICE_LINK = re.compile(r"DATABASE_(?:\w+_)?(?:SERVICE_(?:HOST|PORT)|PORT)(?:_\w+)?")  # Kubernetes sets these itself


def variable_of(alias: str, about: str) -> str:
    """Return the name of a variable of the alias, such as DATABASE_DEFAULT_URL."""
    return f"DATABASE_{alias.upper()}_{about}"


def refuse_unnamable(aliases: Iterable[str]) -> None:
    """Raise ValueError for an alias of the settings that no variable can name."""
    for alias in sorted(aliases):
        if not _ALIAS.fullmatch(alias):
            raise ValueError(
                f"No variable DATABASE_<ALIAS>_URL can name the alias {alias!r}."
                " Use a lower-case letter and up to 14 lower-case letters and digits."
            )


def aliases_with_url(environ: Environ) -> list[str]:
    """Return the aliases that have a URL, default first; refuse unknown variables and aliases without a URL."""
    aliases: dict[str, set[str]] = defaultdict(set)
    for variable in sorted(name for name in environ if name.startswith("DATABASE_")):
        if found := VARIABLE.fullmatch(variable):
            aliases[found["alias"]].add(found["about"])
        elif not _SERVICE_LINK.fullmatch(variable):
            raise ConfigurationError(
                variable,
                "is no variable of this service",
                "Use DATABASE_<ALIAS>_ and URL, PASSWORD_FILE, REPLICA_OF, APPS, REQUIRED, MANAGED or MAX_LAG_SECONDS,"
                " ALIAS being a letter and up to 14 letters and digits",
            )
    for alias, about in aliases.items():
        if "URL" not in about:
            raise ConfigurationError(
                variable_of(alias, min(about)),
                f"is set without {variable_of(alias, 'URL')}",
                "Set that too, or remove this",
            )
    return sorted((alias.lower() for alias in aliases), key=lambda alias: (alias != "default", alias))


def owners_of_replicas(environ: Environ, described: Collection[str], by_default: Mapping[str, str]) -> dict[str, str]:
    """Return the owner of each replica: from its variable, else from the settings."""
    replica_of = {
        alias: owner
        for alias in described
        if (owner := env.text(environ, variable_of(alias, "REPLICA_OF"), by_default.get(alias, "")))
    }
    for alias, owner in replica_of.items():
        variable = variable_of(alias, "REPLICA_OF")
        if alias == "default":
            raise ConfigurationError(variable, "makes default a replica", "Remove it", value=owner)
        if owner not in described:
            raise ConfigurationError(
                variable, "names no alias that has a URL", f"Name one of: {', '.join(described)}", value=owner
            )
        if owner == alias or owner in replica_of:
            raise ConfigurationError(variable, "names a replica", "Name the owner that it replicates", value=owner)
    return replica_of


def claimed_apps(
    environ: Environ, described: Iterable[str], replica_of: Mapping[str, str], *, known: Collection[str]
) -> dict[str, str]:
    """Return the apps that a variable DATABASE_<ALIAS>_APPS gives to an alias, with that alias.

    `known` holds the apps that have an owner. With the label `"*"` among them, every app has one.
    """
    claimed: dict[str, str] = {}
    for alias in described:
        variable = variable_of(alias, "APPS")
        for app in env.names(environ, variable):
            if alias in replica_of:
                raise ConfigurationError(variable, "gives an app to a replica", "Give it to its owner", value=app)
            if app not in known and "*" not in known:
                raise ConfigurationError(
                    variable,
                    "names an unknown app",
                    f"Known apps: {', '.join(sorted(known))}. Give a new app an owner in the settings first",
                    value=app,
                )
            if claimed.setdefault(app, alias) != alias:
                raise ConfigurationError(
                    variable, f"names an app that {claimed[app]} claims too", "Name it for one alias", value=app
                )
    return claimed


def optional_owners(environ: Environ, described: Iterable[str], replica_of: Mapping[str, str]) -> frozenset[str]:
    """Return the owners that the service runs without."""
    required = {
        alias: env.flag(environ, variable_of(alias, "REQUIRED"), default=alias not in replica_of) for alias in described
    }
    for alias in replica_of:
        if required[alias]:
            raise ConfigurationError(
                variable_of(alias, "REQUIRED"), "is true for a replica, which is never required", "Remove it"
            )
    return frozenset(alias for alias in required if not required[alias] and alias not in replica_of)


def unmanaged_owners(environ: Environ, described: Iterable[str], replica_of: Mapping[str, str]) -> frozenset[str]:
    """Return the owners whose tables others make."""
    managed = {alias: env.flag(environ, variable_of(alias, "MANAGED"), default=True) for alias in described}
    for alias in replica_of:
        if not managed[alias]:
            raise ConfigurationError(
                variable_of(alias, "MANAGED"),
                "is false for a replica, whose tables are those of its owner",
                f"Set {variable_of(replica_of[alias], 'MANAGED')} instead",
            )
    return frozenset(alias for alias in managed if not managed[alias])


def max_lag_seconds(environ: Environ, described: Iterable[str], replica_of: Mapping[str, str]) -> dict[str, int]:
    """Return the seconds that each replica may be behind its owner, for the replicas that have a variable for it."""
    given: dict[str, int] = {}
    for alias in described:
        variable = variable_of(alias, "MAX_LAG_SECONDS")
        if not env.text(environ, variable, ""):
            continue
        if alias not in replica_of:
            raise ConfigurationError(
                variable, "is about an owner, which is never behind", "Set it for a replica", value=environ[variable]
            )
        given[alias] = env.number(environ, variable, 30, low=1, high=86400)
    return given


def password(environ: Environ, alias: str) -> str | None:
    """Return the content of the alias's password file, None without one."""
    variable = variable_of(alias, "PASSWORD_FILE")
    path = env.text(environ, variable, "")
    return env.secret_file(variable, path) if path else None
