"""What is known about the servers of each owner, published for decisions: no I/O here.

refresher.py asks the servers and replaces what stands here. Before it has, or where it does not run, every replica is
fit and none is known to have replayed anything.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from django.core.signals import setting_changed
from django.db import connections

from switchyard.positions import VENDORS, Answer, Position
from switchyard.routing.decision import decision
from switchyard.routing.topology.ownership import replicas_of

# Replicas' aliases behind which more than one server was seen, and when last.
shared: dict[str, float] = {}
# In the settings of a test's mirror: the alias whose driver connection it uses.
SHARES = "SHARES_CONNECTION_OF"


class Sample(NamedTuple):
    """An answer, and the `time.monotonic()` before which everything it covers had happened."""

    begun_at: float
    answer: Answer


class Replica(NamedTuple):
    """What is known about one replica. Never changed, only replaced."""

    alias: str
    reason: str = ""  # why it is unfit
    position: Position | None = None  # what it has surely replayed
    lag_seconds: float = 0.0
    lag_bytes: int | None = None

    @property
    def fit(self) -> bool:
        """Tell whether reads that owe nothing may go there."""
        return not self.reason

    def has(self, position: Position) -> bool:
        """Tell whether it has surely replayed the position."""
        return self.position is not None and self.position.covers(position)


class Best:
    """A fit replica, with the decision that sends a usual read there. One object each time it is judged.

    Not a tuple: a slot is read in a third of the time that a named tuple's field takes.
    """

    __slots__ = ("default", "judgement", "replica")

    def __init__(self, replica: Replica, judgement: object) -> None:
        self.replica = replica
        self.judgement = judgement  # the set's, for as long as this holds
        self.default = decision(replica.alias, "default")


class ReplicationSet:
    """An owner and its replicas."""

    __slots__ = (
        "_turn",
        "behind",
        "best",
        "bests",
        "fit",
        "in_step",
        "judgement",
        "owner",
        "refusal",
        "replicas",
        "sample",
        "strangers",
    )

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._turn = -1  # whose it is among equals
        self.look()
        self.forget()

    def look(self) -> None:
        """Look whether the replicas show every row at once: files do, and so do mirrors in tests."""
        mirrors = all(SHARES in connections.settings[alias] for alias in replicas_of(self.owner))
        self.in_step = not keeps_positions(self.owner) or mirrors

    def forget(self) -> None:
        """Know nothing: every replica is fit."""
        self.sample: Sample | None = None  # the owner's newest
        self.refusal = ""  # why the owner must not be written now
        self.publish(Replica(alias) for alias in replicas_of(self.owner))
        for alias in replicas_of(self.owner):
            shared.pop(alias, None)

    def publish(
        self, replicas: Iterable[Replica], behind: Mapping[str, Replica] | None = None, *, strangers: bool = False
    ) -> None:
        """Replace what is known about the replicas, and about each server `behind` their aliases that is asked.

        There are `strangers` if connections lead to servers that are not.
        """
        self.replicas: tuple[Replica, ...] = tuple(replicas)
        self._turn += 1
        self.behind: Mapping[str, Replica] = behind or {}
        self.strangers = strangers
        fit = sorted((each for each in self.replicas if each.fit), key=lambda each: each.lag_seconds)
        equals = sum(each.lag_seconds == fit[0].lag_seconds for each in fit)
        first = self._turn % equals if equals else 0
        # The best first, equals in turn: else one of them would serve all reads. A decision reads this, `bests` or
        # `best` once: they are replaced, never changed.
        self.fit: tuple[Replica, ...] = (*fit[first:equals], *fit[:first], *fit[equals:])
        self.judgement = object()
        self.bests = {each.alias: Best(each, self.judgement) for each in self.fit}
        self.best = self.bests[self.fit[0].alias] if self.fit else None

    def passed(self, position: Position) -> bool:
        """Tell whether every replica is known to have replayed the position."""
        known = (*self.replicas, *self.behind.values())
        return not self.strangers and all(each.has(position) for each in known)


def keeps_positions(alias: str) -> bool:
    """Tell whether the alias' vendor has replicas that lag."""
    return connections[alias].vendor in VENDORS


@cache
def set_of(owner: str) -> ReplicationSet:
    """Return the owner's one set in this process."""
    return ReplicationSet(owner)


def _forget(*, setting: str, **_kwargs: Any) -> None:
    if setting in {"SWITCHYARD", "DATABASES"}:
        set_of.cache_clear()


setting_changed.connect(_forget, dispatch_uid="switchyard.routing.topology.replication")
