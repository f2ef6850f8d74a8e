"""What goes from one request or task into the next: out of a token into a ledger, and out of a ledger into a token."""

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

# Sent with `reason` for each token, or position in one, that was ignored: forged, foreign or future.
token_rejected = Signal()

_REMEMBERED = 1024  # positions ahead of the owner's sample


class FuturePositions:
    """When this process first saw positions that the owner is not known to have reached."""

    def __init__(self) -> None:
        self._first: OrderedDict[tuple[str, Position], float] = OrderedDict()
        self._lock = threading.Lock()

    def since(self, owner: str, position: Position) -> float:
        """Return the `time.monotonic()` at which the position was first asked about."""
        with self._lock:
            first = self._first.setdefault((owner, position), time.monotonic())
            while len(self._first) > _REMEMBERED:
                self._first.popitem(last=False)
            return first


_future_positions = FuturePositions()


def accept_tokens(tokens: Collection[str]) -> tuple[ConsistencyState, str]:
    """Return the ledger of what the client carries, and the token that would say the same.

    What replicas have replayed by now, and what cannot be believed, is left out. No query.
    """
    if not any(tokens):
        return ConsistencyState(), ""
    lines: dict[str, TokenEntry] = {}
    for text in filter(None, tokens):
        try:
            for line in token.decode(text):
                lines[line.owner] = _merge(lines[line.owner], line) if line.owner in lines else line
        except TokenError:
            token_rejected.send(sender=TokenEntry, reason="forged")
    believed = [line for line in lines.values() if replicas_of(line.owner)]
    owed = {
        line.owner: None if line.unknown else line.position
        for line in believed
        if line.unknown or (line.position is not None and _still_required(line.owner, line.position))
    }
    last = {line.owner: line.last_replica for line in believed if line.last_replica in replicas_of(line.owner)}
    ledger = consistency_from(owed, last)
    for line in believed:
        if line.server and not line.unknown:
            _remember_server(ledger, line.owner, line.server)
    return ledger, token.encode(lines.values())


def _remember_server(ledger: ConsistencyState, owner: str, mark: str) -> None:
    """Take down the server read last; the owner's next sample has what one that nobody knows here has shown."""
    server = next(
        (each for each in replication_set(owner).snapshot.by_server if token.server_fingerprint(each) == mark), None
    )
    if server is not None:
        ledger.last_server[owner] = server
    else:
        ledger.require(owner, PendingPosition(time.monotonic()))


def issue_token(ledger: ConsistencyState) -> str:
    """Return the token of what the ledger owes; empty when it owes nothing.

    Asks each owner that was written, or read in a replica's place, for its position: one query each, on this thread's
    connection.
    """
    lines = (
        _line(owner, ledger)
        for owner in sorted(ledger.required.keys() | ledger.last_replica.keys() | ledger.last_server.keys())
    )
    return token.encode(line for line in lines if line is not None)


def _line(owner: str, ledger: ConsistencyState) -> TokenEntry | None:
    group = replication_set(owner)
    owed = None if group.snapshot.lag_free else ledger.required_position(owner)
    position = _read_position(owner) if type(owed) is PendingPosition else owed
    unknown = owed is not None and position is None
    if position is not None and group.snapshot.all_caught_up(position):
        position = None
    server = ledger.last_server.get(owner)
    line = TokenEntry(
        owner, position, unknown, ledger.last_replica.get(owner, ""), token.server_fingerprint(server) if server else ""
    )
    return line if position is not None or unknown or line.last_replica or server else None


def _still_required(owner: str, position: Position) -> bool:
    group = replication_set(owner)
    if group.snapshot.lag_free or group.snapshot.all_caught_up(position):
        return False
    reached = group.snapshot.owner_sample.status.position if group.snapshot.owner_sample else None
    if group.snapshot.owner_sample is None or reached is None or reached.includes(position):
        return True
    if reached.different_system(position):
        token_rejected.send(sender=TokenEntry, reason="other_system")
        return False
    # Another worker may know a newer position than this one's last sample. A sample begun after we saw it does not lie.
    if group.snapshot.owner_sample.begun_at > _future_positions.since(owner, position):
        token_rejected.send(sender=TokenEntry, reason="future")
        return False
    return True


def _merge(one: TokenEntry, other: TokenEntry) -> TokenEntry:
    """Return a line that owes what either does, as a client may send both the cookie and the header."""
    last, server = other.last_replica or one.last_replica, other.server or one.server
    if one.position is None or other.position is None:
        both = one.position or other.position
    elif one.position.includes(other.position):
        both = one.position
    else:
        both = other.position if other.position.includes(one.position) else None
    # No position bounds two that cannot be compared, and none is known that bounds what two replicas showed.
    apart = both is None and one.position is not None
    parted = (last, server) != (one.last_replica or other.last_replica, one.server or other.server)
    if one.unknown or other.unknown or apart or parted:
        return TokenEntry(one.owner, None, unknown=True)
    return TokenEntry(one.owner, both, last_replica=last, server=server)


def _read_position(owner: str) -> Position | None:
    """Return the owner's position; None when it cannot be had, or would say nothing of a transaction still open."""
    connection = connections[owner]
    if connection.connection is None or program_transaction_on(owner):
        return None
    try:
        with connection.cursor() as cursor:
            return dialect_for(connection.vendor, connection.connection).current_position(cursor)
    except (DatabaseError, ValueError) as error:
        logger.warning(
            "The position of '%s' could not be asked for (%s): its reads go to it until it can.",
            owner,
            type(error).__name__,
        )
        return None
