"""Readiness of this process for requests: a verdict over the states of all aliases."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from switchyard.conf import conf
from switchyard.health.alias_check import AliasCheck, states
from switchyard.health.alias_probe import AliasState
from switchyard.health.stopping import is_stopping
from switchyard.routing.topology.ownership import database_aliases, owner_and_replicas, owners, replicated_by

VERDICT_TTL_SECONDS = 1.5


class Status(StrEnum):
    """The status of the service, with the word that /readyz shows."""

    OK = "ok"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"
    STOPPING = "stopping"


def status_of(aliases: Mapping[str, AliasState], *, optional: frozenset[str], was_ready: bool) -> Status:
    """Return the status of the service for these states of its aliases.

    Before the service was ready for the first time, every required owner must be up and migrated. Afterwards one of
    them is enough, or one of its replicas: all processes share the databases, so processes that are not ready while one
    database is lost would get no request of the other databases either.
    """
    required = [alias for alias in owners() if alias in aliases and not replicated_by(alias) and alias not in optional]
    up = {alias for alias, state in aliases.items() if state is AliasState.UP}
    if was_ready and required:
        serves = any(not up.isdisjoint(owner_and_replicas(owner)) for owner in required)
    else:
        serves = up.issuperset(required)
    if not serves:
        return Status.UNAVAILABLE
    return Status.OK if all(state is AliasState.UP for state in aliases.values()) else Status.DEGRADED


@dataclass(frozen=True)
class Verdict:
    """A status, and the states of the aliases behind it."""

    status: Status
    aliases: Mapping[str, AliasState]


@dataclass
class Readiness:
    """The verdict of this process. If it is older than VERDICT_TTL_SECONDS, one request renews it for all."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    was_ready: bool = False  # once every required owner was up and migrated
    _verdict: Verdict | None = None
    _valid_until: float = 0.0  # time.monotonic()

    def verdict(self) -> Verdict:
        """Return the verdict. Takes no longer than the timeout of the probes, and no time in a process that stops."""
        if is_stopping():
            return Verdict(Status.STOPPING, self._verdict.aliases if self._verdict else {})
        with self._lock:
            if self._verdict is None or time.monotonic() >= self._valid_until:
                self._verdict = self._probe_aliases()
                self._valid_until = time.monotonic() + VERDICT_TTL_SECONDS
            return self._verdict

    def _probe_aliases(self) -> Verdict:
        aliases = states(AliasCheck(alias=alias) for alias in database_aliases())
        status = status_of(aliases, optional=conf.optional, was_ready=self.was_ready)
        self.was_ready = self.was_ready or status is not Status.UNAVAILABLE
        return Verdict(status, aliases)
