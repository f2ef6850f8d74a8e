"""Whether this process should be sent requests: a verdict over the states of all aliases."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from django.db import connections

from switchyard.conf import conf
from switchyard.health.checks import AliasCheck, states
from switchyard.health.probes import AliasState
from switchyard.routing.topology.ownership import owner_and_replicas, replicated_by

REMEMBERED = 1.5  # seconds


class Status(StrEnum):
    """What the verdict comes to."""

    OK = "ok"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"


def judge(aliases: Mapping[str, AliasState], *, optional: frozenset[str], was_ready: bool) -> Status:
    """Return the status that the states of the aliases come to.

    Until it was ready once, every required owner must be up, its migrations applied. From then on an owner may be lost
    while one of its replicas serves.
    """
    required = [alias for alias in aliases if replicated_by(alias) is None and alias not in optional]
    for owner in required:
        serving = owner_and_replicas(owner) if was_ready else (owner,)
        if all(aliases.get(alias) is not AliasState.UP for alias in serving):
            return Status.UNAVAILABLE
    return Status.OK if all(state is AliasState.UP for state in aliases.values()) else Status.DEGRADED


@dataclass(frozen=True)
class Verdict:
    """A status, and the states that it follows from."""

    status: Status
    aliases: Mapping[str, AliasState]


@dataclass
class Readiness:
    """The verdict of a process, asked for anew when it is older than REMEMBERED, by one request for all."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _was_ready: bool = False
    _verdict: Verdict | None = None
    _until: float = 0.0

    def verdict(self) -> Verdict:
        """Return the verdict; it takes no longer than the checks' deadline."""
        with self._lock:
            if self._verdict is None or time.monotonic() >= self._until:
                self._verdict = self._ask()
                self._until = time.monotonic() + REMEMBERED
            return self._verdict

    def _ask(self) -> Verdict:
        aliases = states([AliasCheck(alias=alias) for alias in connections])
        status = judge(aliases, optional=conf.optional, was_ready=self._was_ready)
        self._was_ready = self._was_ready or status is not Status.UNAVAILABLE
        return Verdict(status, aliases)
