"""Which rows a client must see: for each owner, the position that a replica must have replayed before it is read.

The requirement of one request, task or process. The token carries it to the next request (`transfer.py`).
"""

import threading
import time
from math import ceil
from typing import Any, final

from switchyard.positions import Position
from switchyard.routing.connection_state import has_open_transaction
from switchyard.routing.topology.replication import Candidate, Replica, replication_set

# The clocks of two processes of the service differ by less. Only tokens without a position depend on it.
MAX_CLOCK_DIFFERENCE_SECONDS = 5
# A transaction that is open when its token leaves is committed within this time.
MAX_TRANSACTION_SECONDS = 3600
_NOTHING_CACHED = Candidate(Replica(""), None)


def unix_time() -> int:
    """Return the Unix time in whole seconds, rounded up: everything up to now happened before."""
    return ceil(time.time())


@final
class PendingPosition:
    """The unknown position of a write, or of a read of the owner. A later sample of the owner resolves it."""

    __slots__ = ("accepted", "is_uncertain", "open_connections", "written_at", "written_before")

    def __init__(
        self,
        written_at: float,
        connection: Any = None,
        *,
        written_before: int | None = None,
        is_uncertain: bool = False,
    ) -> None:
        """Begin with the `time.monotonic()` after the write. It is in the future for an unknown time of commit.

        `connection` is the connection of the write, if its transaction is still open. `written_before` is the Unix time
        in the client's token, if the position comes from a token. `is_uncertain` is True if only statements that failed
        may have written.
        """
        self.is_uncertain = is_uncertain
        self.accepted: Position | None = None  # what was required before statements that failed
        self.written_at = written_at
        self.written_before = written_before
        self.open_connections = () if connection is None else (connection,)

    @classmethod
    def from_token(cls, written_before: int) -> "PendingPosition":
        """Return the pending position of a token that arrives now: everything before the Unix time is required.

        The client wrote before its request arrived. Only an open transaction may commit later; then the time is in the
        future.
        """
        age_seconds = time.time() - written_before
        if age_seconds >= -MAX_CLOCK_DIFFERENCE_SECONDS:
            age_seconds = max(age_seconds - MAX_CLOCK_DIFFERENCE_SECONDS, 0.0)
        return cls(time.monotonic() - age_seconds, written_before=written_before)

    @property
    def is_readable(self) -> bool:
        """Return True if the owner's position includes the write now, and the write is none of a token."""
        return self.written_before is None and not self.open_connections and self.written_at <= time.monotonic()

    def time_for_token(self) -> int:
        """Return the Unix time before which the write happened, or will have happened."""
        if self.written_before is not None:
            return self.written_before
        remaining_seconds = MAX_TRANSACTION_SECONDS if self.open_connections else self.written_at - time.monotonic()
        return ceil(time.time() + min(max(remaining_seconds, 0.0), MAX_TRANSACTION_SECONDS))

    def merge(self, earlier: "PendingPosition") -> None:
        """Merge an earlier pending write: its transaction may still commit after this one."""
        self.is_uncertain = self.is_uncertain and earlier.is_uncertain
        self.accepted = earlier.accepted if self.is_uncertain else None
        self.written_at = max(self.written_at, earlier.written_at)
        self.open_connections = tuple(dict.fromkeys((*earlier.open_connections, *self.open_connections)))

    def resolve(self, owner: str) -> Position | None:
        """Return a position that includes the write; None if none is known.

        It comes from a sample of the owner that was begun after the write. If the owner's server has shut down instead,
        it is all that this server had written.
        """
        still_open = tuple(each for each in self.open_connections if has_open_transaction(each))
        if still_open != self.open_connections:
            self.written_at = max(self.written_at, time.monotonic())  # committed before now
            self.open_connections = still_open
        snapshot = replication_set(owner).snapshot
        sample, shutdown = snapshot.owner_sample, snapshot.shutdown
        if self.open_connections:
            return None
        if sample is not None and sample.begun_at > self.written_at:
            return sample.status.position
        return shutdown.position if shutdown is not None and self._surely_before(shutdown.promoted_at) else None

    def _surely_before(self, promoted_at: float) -> bool:
        """Return True if the write was before another server could take writes, by `time.monotonic()`.

        The owner's address leads to the promoted server only later, so a token's time needs no margin for other clocks.
        """
        if self.written_before is None:
            return self.written_at <= promoted_at
        return time.monotonic() - (time.time() - self.written_before) <= promoted_at


class ConsistencyState:
    """The required positions of one request, task or process. All of its threads and tasks share the object."""

    __slots__ = ("_lock", "cached", "fallback_reads", "last_replica", "last_server", "required")

    def __init__(self) -> None:
        self.required: dict[str, Position | PendingPosition] = {}  # by owner
        self.last_replica: dict[str, str] = {}  # owner -> alias of the replica read last; only with several replicas
        self.last_server: dict[str, str] = {}  # owner -> server read last; only with several servers behind one alias
        self.fallback_reads: dict[str, int] = {}  # owner -> reads that go there in a replica's place
        # The replica that was caught up and read last. It stays right until its snapshot is replaced.
        self.cached = _NOTHING_CACHED
        self._lock = threading.Lock()

    @property
    def is_empty(self) -> bool:
        """Return True if the client carries nothing to its next request."""
        return not (self.required or self.last_replica or self.last_server)

    @property
    def has_chosen_replica(self) -> bool:
        """Return True if a replica was read that is caught up for this client."""
        return self.cached is not _NOTHING_CACHED

    def require(self, owner: str, position: Position | PendingPosition) -> None:
        """Require the position of the owner's replicas. It includes everything that was read before."""
        with self._lock:
            before = self.required.get(owner)
            if type(position) is PendingPosition:
                if type(before) is PendingPosition:
                    position.merge(before)
                elif position.is_uncertain:
                    position.accepted = before
            self.required[owner] = position
            if type(position) is not PendingPosition or not position.is_uncertain:  # else what was read stays known
                self.last_replica.pop(owner, None)
                self.last_server.pop(owner, None)
            self.cached = _NOTHING_CACHED

    def begin_fallback_read(self, owner: str) -> None:
        """Note that a read goes to the owner in a replica's place. It requires nothing before it has shown rows."""
        with self._lock:
            self.fallback_reads[owner] = self.fallback_reads.get(owner, 0) + 1
            self.cached = _NOTHING_CACHED

    def end_fallback_read(self, owner: str, *, shown: bool) -> None:
        """Require what the owner has shown in a replica's place; require nothing if it failed, or for another read."""
        with self._lock:
            if not self.fallback_reads.get(owner):
                return
            self.fallback_reads[owner] -= 1
        if shown:
            self.require(owner, PendingPosition(time.monotonic()))

    def remember(self, owner: str, required: Position | PendingPosition | None, candidate: Candidate) -> None:
        """Cache the candidate as caught up for this client, unless the requirement changed meanwhile."""
        with self._lock:
            if self.required.get(owner) is required:
                self.cached = candidate

    def required_position(self, owner: str) -> Position | PendingPosition | None:
        """Return the required position, resolved if a sample of the owner allows it; None without a requirement."""
        required = self.required.get(owner)
        if type(required) is not PendingPosition:
            return required
        position = required.resolve(owner)
        if position is None:
            return required
        with self._lock:
            if self.required.get(owner) is required:  # unless a later write came in between
                self.required[owner] = position
        return position

    def without_uncertain(self, owner: str) -> "ConsistencyState | None":
        """Return a state that requires only what the owner surely has; None if this state requires nothing else."""
        required = self.required_position(owner)
        if type(required) is not PendingPosition or not required.is_uncertain:
            return None
        copied = self.copy()
        copied.required.pop(owner)
        if required.accepted is not None:
            copied.required[owner] = required.accepted
        copied.last_replica, copied.last_server = self.last_replica, self.last_server  # what it reads, this client saw
        return copied

    def copy(self) -> "ConsistencyState":
        """Return a state with the same requirements, which changes alone."""
        copied = ConsistencyState()
        copied.required = dict(self.required)
        copied.last_replica = dict(self.last_replica)
        copied.last_server = dict(self.last_server)
        return copied
