"""The settings of the package: one typed property for each key of `settings.SWITCHYARD`, read at each access.

The values are not checked here: `routing/checks` finds wrong values and says how to correct them.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings

# A stale session signs people out. `django_cache` is the app label of Django's database cache.
PRIMARY_ONLY = frozenset({"admin", "auth", "contenttypes", "django_cache", "sessions"})
_MAX_LAG_SECONDS = 30.0
_TOMBSTONE_RETENTION = timedelta(days=7)
POLICIES = {
    "stale_save": "raise",
    "early_on_commit": "raise",
    "cross_owner_transaction": "warn",
    "replica_write": "raise",
}


class Conf:
    """Read `settings.SWITCHYARD`; a property gives its default for an absent key."""

    @property
    def _values(self) -> Mapping[str, Any]:
        values: Mapping[str, Any] = getattr(settings, "SWITCHYARD", {})
        return values

    @property
    def owners(self) -> Mapping[str, str]:
        """OWNERS: app label -> owner, the alias of its rows. The label `"*"` stands for all other apps. Default: {}."""
        owners: Mapping[str, str] = self._values.get("OWNERS", {})
        return owners

    @property
    def replicas(self) -> Mapping[str, Sequence[str]]:
        """REPLICAS: owner -> aliases of its replicas. Default: {}."""
        replicas: Mapping[str, Sequence[str]] = self._values.get("REPLICAS", {})
        return replicas

    @property
    def read_only(self) -> frozenset[str]:
        """READ_ONLY: owners that refuse writes outside `allow_writes()`. Default: none."""
        return frozenset(self._values.get("READ_ONLY", ()))

    @property
    def optional(self) -> frozenset[str]:
        """OPTIONAL: owners without which the service starts, degraded but ready. Default: none."""
        return frozenset(self._values.get("OPTIONAL", ()))

    @property
    def unmanaged(self) -> frozenset[str]:
        """UNMANAGED: owners whose tables others make: no migration runs there or is waited for. Default: none."""
        return frozenset(self._values.get("UNMANAGED", ()))

    @property
    def primary_only(self) -> frozenset[str]:
        """PRIMARY_ONLY: labels of more apps whose rows are always read from their owner. Default: none.

        Returned together with Django's admin, auth, content types, sessions and database cache.
        """
        return PRIMARY_ONLY.union(self._values.get("PRIMARY_ONLY", ()))

    def max_lag_seconds_of(self, alias: str) -> float:
        """Return the lag, in seconds, from which on no client reads the replica. See `max_lag_seconds`."""
        given = self.max_lag_seconds
        return given.get(alias, _MAX_LAG_SECONDS) if isinstance(given, Mapping) else given

    @property
    def max_lag_seconds(self) -> float | Mapping[str, float]:
        """MAX_LAG_SECONDS: the greatest lag of a fit replica, in seconds; a mapping gives it by alias. Default: 30."""
        given: float | Mapping[str, float] = self._values.get("MAX_LAG_SECONDS", _MAX_LAG_SECONDS)
        return given

    @property
    def threads(self) -> int | None:
        """THREADS: the number of threads of a process. Default: None, unknown.

        Half of them may wait for a server that answers late, and all share the connection pools of the process.
        """
        threads: int | None = self._values.get("THREADS")
        return threads

    @property
    def server_timing(self) -> bool:
        """SERVER_TIMING: send the queries of a request, by alias, in a `Server-Timing` header. Default: False."""
        return bool(self._values.get("SERVER_TIMING", False))

    @property
    def sql_comments(self) -> bool:
        """SQL_COMMENTS: add a comment with alias, app, reason and route to each statement. Default: False."""
        return bool(self._values.get("SQL_COMMENTS", False))

    @property
    def traces(self) -> bool:
        """TRACES: make a span of OpenTelemetry for each query. Default: False."""
        return bool(self._values.get("TRACES", False))

    @property
    def health_tokens(self) -> Sequence[str]:
        """HEALTH_TOKENS: the bearer tokens with which a client may read /healthz, or one of them. Default: none."""
        return _tokens(self._values.get("HEALTH_TOKENS", ()))

    @property
    def console_tokens(self) -> Sequence[str]:
        """CONSOLE_TOKENS: the bearer tokens with which a client may read the console's data. Default: none."""
        return _tokens(self._values.get("CONSOLE_TOKENS", ()))

    @property
    def console_peers(self) -> Sequence[str]:
        """CONSOLE_PEERS: names with a port, at whose addresses the exporters of all pods listen. Default: none.

        The console then shows the sum of all pods. The names may include this pod.
        """
        peers: Sequence[str] = self._values.get("CONSOLE_PEERS", ())
        return peers

    @property
    def read_only_functions(self) -> frozenset[str]:
        """READ_ONLY_FUNCTIONS: names, without schema, of database functions that do not write. Default: none.

        Returned in lower case.
        """
        return frozenset(name.lower() for name in self._values.get("READ_ONLY_FUNCTIONS", ()))

    @property
    def tombstone_retention(self) -> timedelta:
        """TOMBSTONE_RETENTION: how long the worker looks for later children of a deleted parent. Default: 7 days."""
        retention: timedelta = self._values.get("TOMBSTONE_RETENTION", _TOMBSTONE_RETENTION)
        return retention

    @property
    def policies(self) -> Mapping[str, str | Mapping[str, str]]:
        """POLICIES: kind of mistake -> `raise`, `warn`, `allow` or `redirect`. Defaults: `POLICIES`, for absent kinds.

        The policies of `stale_save` and `replica_write` may be mappings by the label of a model or of an app; the label
        `"*"` stands for all other models.
        """
        return {**POLICIES, **self._values.get("POLICIES", {})}

    @property
    def metrics_dir(self) -> str | None:
        """METRICS_DIR: the directory of the counters that processes share, best on tmpfs. Default: None.

        Without a directory each process has its own counters.
        """
        directory: str | None = self._values.get("METRICS_DIR")
        return directory


def _tokens(given: str | Sequence[str]) -> Sequence[str]:
    """Return the tokens of a setting that holds one or several; an empty text is none."""
    return [token for token in ([given] if isinstance(given, str) else given) if token]


conf = Conf()
KEYS = frozenset(name.upper() for name, value in vars(Conf).items() if isinstance(value, property) and name[0] != "_")
