"""What is known about the servers of each owner, published for decisions. No I/O.

The monitor replaces the snapshots. Before the first snapshot, and where no monitor runs, every replica is fit and no
replica is known to have replayed anything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from math import inf
from types import MappingProxyType
from typing import Any, NamedTuple

from django.core.signals import setting_changed
from django.db import connections

from switchyard.conf import conf
from switchyard.positions import VENDORS, Position, ServerStatus
from switchyard.routing.decision import Decision, decision
from switchyard.routing.topology.direct import SHARED
from switchyard.routing.topology.ownership import replicas_of

# Aliases of replicas with more than one server behind them -> `time.monotonic()` of the last sight of a second server;
# infinity if the settings say so.
shared_aliases: dict[str, float] = {}
# Key in the settings of a test's mirror: the alias whose driver connection the mirror uses.
SHARES_CONNECTION_OF = "SHARES_CONNECTION_OF"


class Sample(NamedTuple):
    """A server's status. Every write committed before `begun_at` is included in `status.position`."""

    begun_at: float  # time.monotonic()
    status: ServerStatus


class Replica(NamedTuple):
    """What is known about one replica. Never changed, only replaced."""

    alias: str
    unfit_reason: str = ""
    position: Position | None = None  # the replica has replayed at least this
    lag_seconds: float = 0.0
    lag_bytes: int | None = None

    @property
    def fit(self) -> bool:
        """Return True if a client without a required position may read the replica."""
        return not self.unfit_reason

    def caught_up_to(self, position: Position) -> bool:
        """Return True if the replica is known to have replayed the position."""
        return self.position is not None and self.position.includes(position)


class Shutdown(NamedTuple):
    """The orderly end of an owner's server: before it ends, it sends all that it has written to its standbys."""

    began_at: float  # time.monotonic()
    promoted_at: float = inf  # time.monotonic(): a standby was seen as promoted
    position: Position | None = None  # all that the server had written; None before a standby is promoted

    def seen(self, replicas: Iterable[Replica], written: Position | None, now: float) -> "Shutdown":
        """Return the shutdown with all that the server had written, if one of the replicas was promoted after it.

        `written` is the newest position that the server told: a standby that lacks it did not get all.
        """
        if self.position is not None or written is None:
            return self
        promoted = (each for each in replicas if each.unfit_reason == "promoted" and each.caught_up_to(written))
        return next((self._replace(promoted_at=now, position=each.position) for each in promoted), self)


class Candidate:
    """A fit replica of one snapshot, with the decision that sends a usual read there.

    Not a tuple: Python reads a slot in a third of the time that a named tuple's field takes.
    """

    __slots__ = ("decision", "generation", "replica")

    def __init__(self, replica: Replica, generation: object) -> None:
        self.replica = replica
        self.generation = generation  # of its snapshot
        self.decision: Decision = decision(replica.alias, "replica")


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that is known about one owner and its replicas at one moment. Published with one assignment."""

    generation: object  # another object in each snapshot
    lag_free: bool  # the replicas show every row at once: SQLite files and mirrors in tests do
    owner_sample: Sample | None  # the newest
    unavailable_reason: str  # why the owner must not be written now; empty if it may be written
    shutdown: Shutdown | None  # of the unavailable owner's server, if it told its sessions so
    answers_late: bool  # the owner has not answered its probe for a while: few threads may wait for it
    replicas: tuple[Replica, ...]  # in the order of REPLICAS
    by_server: Mapping[str, Replica]  # each probed server behind the replicas' aliases
    has_unprobed_servers: bool  # connections lead to servers that no probe reaches
    eligible: tuple[Replica, ...]  # the fit replicas, the least lag first
    candidates: Mapping[str, Candidate]  # the eligible replicas by alias
    preferred: Candidate | None  # the first eligible replica

    def all_caught_up(self, position: Position) -> bool:
        """Return True if every replica, on every server, is known to have replayed the position."""
        known = (*self.replicas, *self.by_server.values())
        return not self.has_unprobed_servers and all(each.caught_up_to(position) for each in known)


class ReplicationSet:
    """An owner and its replicas, with the newest snapshot of them. One object for each owner and process."""

    __slots__ = ("_round_robin", "owner", "snapshot")

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.snapshot: Snapshot
        self._round_robin = 0
        self.reset()

    def reset(self) -> None:
        """Publish that nothing is known: every replica is fit."""
        for alias in replicas_of(self.owner):
            shared_aliases.pop(alias, None)
            if connections.settings.get(alias, {}).get(SHARED):
                shared_aliases[alias] = inf
        self._publish(
            lag_free=_shows_rows_at_once(self.owner),
            owner_sample=None,
            unavailable_reason="",
            shutdown=None,
            answers_late=False,
            replicas=tuple(map(Replica, replicas_of(self.owner))),
            by_server=MappingProxyType({}),
            has_unprobed_servers=False,
        )

    def replace_snapshot(self, replicas: Iterable[Replica] | None = None, **changes: Any) -> None:
        """Publish a snapshot with these replicas and changes of its fields, otherwise as the one before.

        Of replicas with equal lag, each snapshot prefers the next one. Otherwise one of them would serve all reads.
        """
        before = self.snapshot
        kept = {
            "lag_free": before.lag_free,
            "owner_sample": before.owner_sample,
            "unavailable_reason": before.unavailable_reason,
            "shutdown": before.shutdown,
            "answers_late": before.answers_late,
            "by_server": before.by_server,
            "has_unprobed_servers": before.has_unprobed_servers,
        }
        self._round_robin += replicas is not None
        self._publish(replicas=before.replicas if replicas is None else tuple(replicas), **{**kept, **changes})

    def take_turn(self) -> None:
        """Prefer the next of several replicas that show every row at once; among others a monitor takes turns."""
        if self.snapshot.lag_free:
            self.replace_snapshot()
            self._round_robin += 1

    def detect_shared_storage(self) -> None:
        """Find out again whether the replicas show every row at once: the settings of mirrors have changed."""
        _without_monitor.cache_clear()
        self.replace_snapshot(lag_free=_shows_rows_at_once(self.owner))

    def _publish(self, *, replicas: tuple[Replica, ...], **fields: Any) -> None:
        generation = object()
        eligible = _in_order_of_preference(replicas, self._round_robin)
        candidates = {each.alias: Candidate(each, generation) for each in eligible}
        self.snapshot = Snapshot(
            generation=generation,
            replicas=replicas,
            eligible=eligible,
            candidates=candidates,
            preferred=candidates[eligible[0].alias] if eligible else None,
            **fields,
        )


def _in_order_of_preference(replicas: Iterable[Replica], turn: int) -> tuple[Replica, ...]:
    fit = sorted((each for each in replicas if each.fit), key=lambda each: each.lag_seconds)
    equals = sum(each.lag_seconds == fit[0].lag_seconds for each in fit)
    first = turn % equals if equals else 0
    return (*fit[first:equals], *fit[:first], *fit[equals:])


def _shows_rows_at_once(owner: str) -> bool:
    mirrors = all(SHARES_CONNECTION_OF in connections.settings[alias] for alias in replicas_of(owner))
    return mirrors or not supports_positions(owner)  # in this order: Django invents aliases, which have no replicas


def supports_positions(alias: str) -> bool:
    """Return True if the alias' vendor has positions, and so replicas that lag."""
    return connections[alias].vendor in VENDORS


@cache
def _without_monitor() -> tuple[ReplicationSet, ...]:
    """Return the sets with several replicas that no monitor watches. The mirrors of a test stay in their order."""
    return tuple(
        replication_set(owner)
        for owner in conf.replicas
        if len(replicas_of(owner)) > 1
        and owner in connections
        and not supports_positions(owner)
        and not any(SHARES_CONNECTION_OF in connections.settings[alias] for alias in replicas_of(owner))
    )


def begin_client() -> None:
    """Let the request or task that begins now read the next one of equal replicas, where no monitor takes turns."""
    for group in _without_monitor():
        group.take_turn()


@cache
def replication_set(owner: str) -> ReplicationSet:
    """Return the owner's replication set."""
    return ReplicationSet(owner)


def _clear_caches(*, setting: str, **_kwargs: Any) -> None:
    if setting in {"SWITCHYARD", "DATABASES"}:
        replication_set.cache_clear()
        _without_monitor.cache_clear()


setting_changed.connect(_clear_caches, dispatch_uid="switchyard.routing.topology.replication")
