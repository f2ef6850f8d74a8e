"""Transfer of a client's consistency state between requests and tasks: from a token, and into a token.

The form of the token is in `token.py`. The middleware and the task back ends move the token itself.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Collection

from django.db import DatabaseError, connections
from django.dispatch import Signal

from switchyard.positions import Position, dialect_for
from switchyard.routing.connection_state import program_transaction_on
from switchyard.routing.session import token
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition, consistency_from
from switchyard.routing.session.token import TokenEntry, TokenError
from switchyard.routing.topology.ownership import replicas_of
from switchyard.routing.topology.replication import replication_set

logger = logging.getLogger(__name__)

# Sent for each ignored token and each ignored position of a token, with `reason`: `forged`, `other_system` or `future`.
token_rejected = Signal()

_MAX_FUTURE_POSITIONS = 1024


class FuturePositions:
    """The times at which this process first saw positions beyond the newest sample of their owner."""

    def __init__(self) -> None:
        self._first_seen_at: OrderedDict[tuple[str, Position], float] = OrderedDict()
        self._lock = threading.Lock()

    def first_seen_at(self, owner: str, position: Position) -> float:
        """Return the `time.monotonic()` of the first call with this position."""
        with self._lock:
            first_seen_at = self._first_seen_at.setdefault((owner, position), time.monotonic())
            while len(self._first_seen_at) > _MAX_FUTURE_POSITIONS:
                self._first_seen_at.popitem(last=False)
            return first_seen_at


_future_positions = FuturePositions()


def accept_tokens(tokens: Collection[str]) -> tuple[ConsistencyState, str]:
    """Return the consistency state of the client's tokens, and one token with the same content. No query.

    The state leaves out positions that all replicas have replayed, and positions that the owner never had.
    """
    if not any(tokens):
        return ConsistencyState(), ""
    entries: dict[str, TokenEntry] = {}
    for text in filter(None, tokens):
        try:
            for entry in token.decode(text):
                known = entries.get(entry.owner)
                entries[entry.owner] = entry if known is None else _merge(known, entry)
        except TokenError:
            token_rejected.send(sender=TokenEntry, reason="forged")
    replicated = [entry for entry in entries.values() if replicas_of(entry.owner)]
    required = {
        entry.owner: None if entry.unknown else entry.position
        for entry in replicated
        if entry.unknown or (entry.position is not None and _still_required(entry.owner, entry.position))
    }
    last_replica = {
        each.owner: each.last_replica for each in replicated if each.last_replica in replicas_of(each.owner)
    }
    consistency = consistency_from(required, last_replica)
    for entry in replicated:
        if entry.server and not entry.unknown:
            _remember_server(consistency, entry.owner, entry.server)
    return consistency, token.encode(entries.values())


def _remember_server(consistency: ConsistencyState, owner: str, fingerprint: str) -> None:
    """Remember the last server read. If this process does not know it, require the owner's next sampled position."""
    servers = replication_set(owner).snapshot.by_server
    server = next((each for each in servers if token.server_fingerprint(each) == fingerprint), None)
    if server is not None:
        consistency.last_server[owner] = server
    else:
        consistency.require(owner, PendingPosition(time.monotonic()))


def issue_token(consistency: ConsistencyState) -> str:
    """Return the token of the consistency state; empty if the client has nothing to carry.

    One query to each owner with a pending position, on this thread's connection: the position after the client's last
    write, or after its last read of the owner in place of a replica.
    """
    owners = consistency.required.keys() | consistency.last_replica.keys() | consistency.last_server.keys()
    entries = (_entry(owner, consistency) for owner in sorted(owners))
    return token.encode(entry for entry in entries if entry is not None)


def _entry(owner: str, consistency: ConsistencyState) -> TokenEntry | None:
    """Return the entry about the owner; None if it would say nothing. At most one query."""
    snapshot = replication_set(owner).snapshot
    required = None if snapshot.lag_free else consistency.required_position(owner)
    position = _read_position(owner) if type(required) is PendingPosition else required
    unknown = required is not None and position is None
    if position is not None and snapshot.all_caught_up(position):
        position = None
    last_replica, server = consistency.last_replica.get(owner, ""), consistency.last_server.get(owner)
    if position is None and not (unknown or last_replica or server):
        return None
    return TokenEntry(owner, position, unknown, last_replica, token.server_fingerprint(server) if server else "")


def _still_required(owner: str, position: Position) -> bool:
    """Return True if the client must still see the position. Positions that the owner never had are rejected."""
    snapshot = replication_set(owner).snapshot
    if snapshot.lag_free or snapshot.all_caught_up(position):
        return False
    sample = snapshot.owner_sample
    written = sample.status.position if sample else None
    if sample is None or written is None or written.includes(position):
        return True
    if written.different_system(position):
        token_rejected.send(sender=TokenEntry, reason="other_system")
        return False
    # Another process may know a newer position than the last sample here. Only a sample that begins after the position
    # was first seen here must include it.
    if sample.begun_at > _future_positions.first_seen_at(owner, position):
        token_rejected.send(sender=TokenEntry, reason="future")
        return False
    return True


def _merge(one: TokenEntry, other: TokenEntry) -> TokenEntry:
    """Return an entry that requires both: a client may send a cookie and a header.

    The required position becomes unknown if no single position covers both entries: for positions that cannot be
    compared, and for reads of two replicas or servers.
    """
    last_replica, server = other.last_replica or one.last_replica, other.server or one.server
    if one.position is None or other.position is None:
        position = one.position or other.position
    elif one.position.includes(other.position):
        position = one.position
    else:
        position = other.position if other.position.includes(one.position) else None
    incomparable = position is None and one.position is not None
    two_servers = (last_replica, server) != (one.last_replica or other.last_replica, one.server or other.server)
    if one.unknown or other.unknown or incomparable or two_servers:
        return TokenEntry(one.owner, None, unknown=True)
    return TokenEntry(one.owner, position, last_replica=last_replica, server=server)


def _read_position(owner: str) -> Position | None:
    """Return the owner's position; None without a connection, after an error, or in an open transaction. One query."""
    connection = connections[owner]
    if connection.connection is None or program_transaction_on(owner):
        return None
    try:
        with connection.cursor() as cursor:
            return dialect_for(connection.vendor, connection.connection).current_position(cursor)
    except (DatabaseError, ValueError) as error:
        logger.warning(
            "Could not read the replication position of '%s' (%s)."
            " This client reads the primary until the position is known.",
            owner,
            type(error).__name__,
        )
        return None
