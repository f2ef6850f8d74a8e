"""Transfer of a client's consistency state between requests and tasks: from a token, and into a token.

The form of the token is in `token.py`. The middleware and the task back ends move the token itself.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from functools import reduce

from django.db import DatabaseError, connections
from django.dispatch import Signal

from switchyard.conf import conf
from switchyard.positions import Position, dialect_for
from switchyard.routing.connection_state import program_transaction_on
from switchyard.routing.session import token
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition, unix_time
from switchyard.routing.session.token import ALL_OWNERS, TokenEntry, TokenError, UnknownKeyError
from switchyard.routing.topology.ownership import replicas_of
from switchyard.routing.topology.replication import replication_set

logger = logging.getLogger(__name__)

# Sent for each token that cannot be read and for each ignored position of a token, with `reason`: `forged`,
# `unknown_key`, `other_system` or `future`.
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


def accept_tokens(tokens: Iterable[str]) -> tuple[ConsistencyState, tuple[TokenEntry, ...] | None]:
    """Return the consistency state that meets all tokens of the client, and the entries of its token. No query.

    The entries are None if the client has several tokens, or one that cannot be read: it needs one in their place. The
    state leaves out positions that all replicas have replayed, and positions that the owner never had. For a token of
    an unknown key, everything that was written before now is required, of each owner.
    """
    consistency = ConsistencyState()
    tokens = dict.fromkeys(filter(None, tokens))
    readable, unreadable = _decoded(tokens)
    by_owner: dict[str, list[TokenEntry]] = {}
    for entry in [each for entries in readable for each in entries] + unreadable:
        for owner in conf.replicas if entry.owner == ALL_OWNERS else (entry.owner,):
            if replicas_of(owner):
                by_owner.setdefault(owner, []).append(entry._replace(owner=owner))
    for entries in by_owner.values():
        _require(consistency, reduce(_merge, map(_resolved, entries)))
    if len(tokens) == len(readable) <= 1:
        return consistency, tuple(entry for entries in readable for entry in entries)
    return consistency, None


def _decoded(tokens: Iterable[str]) -> tuple[list[list[TokenEntry]], list[TokenEntry]]:
    """Return the entries of each token, and an entry for each token of an unknown key. Report what cannot be read."""
    readable: list[list[TokenEntry]] = []
    unreadable: list[TokenEntry] = []
    for text in tokens:
        try:
            readable.append(token.decode(text))
        except UnknownKeyError:
            unreadable.append(TokenEntry(ALL_OWNERS, written_before=unix_time()))
            token_rejected.send(sender=TokenEntry, reason="unknown_key")
        except TokenError:
            token_rejected.send(sender=TokenEntry, reason="forged")
    return readable, unreadable


def _resolved(entry: TokenEntry) -> TokenEntry:
    """Return the entry with what the newest snapshot of its owner knows, and with the server in clear."""
    owner = entry.owner
    snapshot = replication_set(owner).snapshot
    if snapshot.lag_free:
        return TokenEntry(owner)
    if entry.server:
        server = next((each for each in snapshot.by_server if token.server_fingerprint(each) == entry.server), None)
        # This process cannot compare other servers with an unknown one. The owner has everything that it showed.
        entry = TokenEntry(owner, written_before=unix_time()) if server is None else entry._replace(server=server)
    if entry.written_before is not None:
        position = PendingPosition.from_token(entry.written_before).resolve(owner)
        if position is not None:
            entry = entry._replace(position=position, written_before=None, is_uncertain=False)
        elif not entry.is_uncertain:
            return TokenEntry(owner, written_before=entry.written_before)
    if entry.written_before is None and entry.position is not None and not _still_required(owner, entry.position):
        entry = entry._replace(position=None)
    return entry if entry.last_replica in replicas_of(owner) else entry._replace(last_replica="")


def _require(consistency: ConsistencyState, entry: TokenEntry) -> None:
    """Put the entry into the state."""
    if entry.written_before is not None:
        pending = PendingPosition.from_token(entry.written_before)
        pending.is_uncertain, pending.accepted = entry.is_uncertain, entry.position
        consistency.required[entry.owner] = pending
    elif entry.position is not None:
        consistency.required[entry.owner] = entry.position
    if entry.last_replica:
        consistency.last_replica[entry.owner] = entry.last_replica
    if entry.server:
        consistency.last_server[entry.owner] = entry.server


def entries_to_issue(consistency: ConsistencyState) -> tuple[TokenEntry, ...]:
    """Return the entries of the client's next token; none if the client has nothing to carry.

    One query to each owner with a pending position of this request, on this thread's connection: the position after the
    client's last write, or after its last read of the owner in place of a replica. A pending position that came with a
    token stays as it is, without a query.
    """
    owners = consistency.required.keys() | consistency.last_replica.keys() | consistency.last_server.keys()
    entries = (_entry(owner, consistency) for owner in sorted(owners))
    return tuple(entry for entry in entries if entry is not None)


def issue_token(consistency: ConsistencyState) -> str:
    """Return the token of the consistency state; empty if the client has nothing to carry. Queries as above."""
    return token.encode(entries_to_issue(consistency))


def merge_tokens(tokens: Iterable[str]) -> str:
    """Return one token that requires what all of these tokens require. No query."""
    consistency, _ = accept_tokens(tokens)
    return issue_token(consistency)


def _entry(owner: str, consistency: ConsistencyState) -> TokenEntry | None:
    """Return the entry about the owner; None if it would say nothing. At most one query."""
    snapshot = replication_set(owner).snapshot
    required = None if snapshot.lag_free else consistency.required_position(owner)
    last_replica, server = consistency.last_replica.get(owner, ""), consistency.last_server.get(owner)
    fingerprint = token.server_fingerprint(server) if server else ""
    if type(required) is PendingPosition:
        position = _read_position(owner) if required.is_readable else None
        if position is None:
            time_for_token = required.time_for_token()
            if not required.is_uncertain:
                return TokenEntry(owner, written_before=time_for_token)
            return TokenEntry(owner, required.accepted, time_for_token, last_replica, fingerprint, is_uncertain=True)
        required = position
    if required is not None and snapshot.all_caught_up(required):
        required = None
    if required is None and not (last_replica or server):
        return None
    return TokenEntry(owner, required, last_replica=last_replica, server=fingerprint)


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
    """Return an entry that requires both: a client may have a token of each of several responses.

    Everything before now is required if no single position covers both entries: for a position beside an unknown one,
    for positions that cannot be compared, and for reads of two replicas or servers.
    """
    nothing = TokenEntry(one.owner)
    if one in (other, nothing):
        return other
    if other == nothing:
        return one
    times = [each.written_before for each in (one, other) if each.written_before is not None]
    last_replica, server = other.last_replica or one.last_replica, other.server or one.server
    two_servers = (last_replica, server) != (one.last_replica or other.last_replica, one.server or other.server)
    position = _furthest(one.position, other.position)
    incomparable = position is None and one.position is not None
    if len(times) == 1 or two_servers or incomparable:
        times.append(unix_time())  # the client wrote, and read, before its request arrived
    if times:
        return TokenEntry(one.owner, written_before=max(times))
    return TokenEntry(one.owner, position, last_replica=last_replica, server=server)


def _furthest(one: Position | None, other: Position | None) -> Position | None:
    """Return the position that includes the other one; None if neither does."""
    if one is None or other is None:
        return one or other
    if one.includes(other):
        return one
    return other if other.includes(one) else None


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
