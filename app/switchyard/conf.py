"""The package's settings: one typed property per key of `settings.SWITCHYARD`, read lazily.

Values are not judged here: `routing/checks.py` finds wrong ones and says what to do about them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings

# Django's own apps, and the label that its database cache asks the routers with.
_NEVER_STALE = ("admin", "auth", "contenttypes", "django_cache", "sessions")

_MAX_LAG = 30.0  # seconds
POLICIES = {"stale_save": "raise", "early_on_commit": "raise", "cross_owner_transaction": "warn"}


class Conf:
    """Read `settings.SWITCHYARD` with defaults visible in place."""

    @property
    def _values(self) -> Mapping[str, Any]:
        values: Mapping[str, Any] = getattr(settings, "SWITCHYARD", {})
        return values

    @property
    def owners(self) -> Mapping[str, str]:
        """App label -> alias its rows are written to; the label `"*"` answers for all others."""
        owners: Mapping[str, str] = self._values.get("OWNERS", {})
        return owners

    @property
    def replicas(self) -> Mapping[str, Sequence[str]]:
        """Owner alias -> aliases of its replicas."""
        replicas: Mapping[str, Sequence[str]] = self._values.get("REPLICAS", {})
        return replicas

    @property
    def read_only(self) -> frozenset[str]:
        """Owner aliases that refuse writes outside `allow_writes()`."""
        return frozenset(self._values.get("READ_ONLY", ()))

    @property
    def optional(self) -> frozenset[str]:
        """Owner aliases whose loss leaves the service degraded, not unready."""
        return frozenset(self._values.get("OPTIONAL", ()))

    @property
    def primary_only(self) -> frozenset[str]:
        """App labels whose rows are always read from their owner: a lagging session read signs people out."""
        return frozenset(self._values.get("PRIMARY_ONLY", _NEVER_STALE))

    def max_lag_seconds_of(self, alias: str) -> float:
        """Seconds that the replica may be behind before it is read no more, even by those who owe nothing."""
        given = self.max_lag_seconds
        return given.get(alias, _MAX_LAG) if isinstance(given, Mapping) else given

    @property
    def max_lag_seconds(self) -> float | Mapping[str, float]:
        """The seconds of all replicas, or of each by its alias."""
        given: float | Mapping[str, float] = self._values.get("MAX_LAG_SECONDS", _MAX_LAG)
        return given

    @property
    def threads(self) -> int | None:
        """Threads of a process, which share its connection pools; None where nobody says."""
        threads: int | None = self._values.get("THREADS")
        return threads

    @property
    def server_timing(self) -> bool:
        """Whether each response says, in a `Server-Timing` header, where its request's queries went."""
        return bool(self._values.get("SERVER_TIMING", False))

    @property
    def read_only_functions(self) -> frozenset[str]:
        """Names, without schema, of functions of the project's own that write nothing."""
        return frozenset(name.lower() for name in self._values.get("READ_ONLY_FUNCTIONS", ()))

    @property
    def policies(self) -> Mapping[str, str | Mapping[str, str]]:
        """What is looked for -> raise, warn or allow; `stale_save` also by model label, `"*"` for all others."""
        return {**POLICIES, **self._values.get("POLICIES", {})}

    @property
    def metrics_dir(self) -> str | None:
        """Directory (on tmpfs, best) of the shared counters; None keeps them in this process."""
        directory: str | None = self._values.get("METRICS_DIR")
        return directory


conf = Conf()
