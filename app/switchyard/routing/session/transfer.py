"""What goes from one request or task into the next: out of a token into a ledger, and out of a ledger into a token."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Collection

from django.db import DatabaseError, connections
from django.dispatch import Signal

from switchyard.positions import Position, dialect_of
from switchyard.routing.connection_state import alias_in_program_transaction
from switchyard.routing.session import token
from switchyard.routing.session.context import Ledger, Unplaced, owing
from switchyard.routing.session.token import Line, TokenError
from switchyard.routing.topology.ownership import replicas_of
from switchyard.routing.topology.replication import set_of

logger = logging.getLogger(__name__)

# Sent with `reason` for each token, or position in one, that was ignored: forged, foreign or future.
rejected = Signal()

_REMEMBERED = 1024  # positions ahead of the owner's sample


class _Ahead:
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


_ahead = _Ahead()


def received(tokens: Collection[str]) -> tuple[Ledger, str]:
    """Return the ledger of what the client carries, and the token that would say the same.

    What replicas have replayed by now, and what cannot be believed, is left out. No query.
    """
    if not any(tokens):
        return Ledger(), ""
    lines: dict[str, Line] = {}
    for text in filter(None, tokens):
        try:
            for line in token.decode(text):
                lines[line.owner] = _stronger(lines[line.owner], line) if line.owner in lines else line
        except TokenError:
            rejected.send(sender=Line, reason="forged")
    believed = [line for line in lines.values() if replicas_of(line.owner)]
    owed = {
        line.owner: None if line.unknown else line.position
        for line in believed
        if line.unknown or (line.position is not None and _is_owed(line.owner, line.position))
    }
    last = {line.owner: line.last for line in believed if line.last in replicas_of(line.owner)}
    ledger = owing(owed, last)
    for line in believed:
        if line.server and not line.unknown:
            _read_last(ledger, line.owner, line.server)
    return ledger, token.encode(lines.values())


def _read_last(ledger: Ledger, owner: str, mark: str) -> None:
    """Take down the server read last; the owner's next sample has what one that nobody knows here has shown."""
    server = next((each for each in set_of(owner).behind if token.mark(each) == mark), None)
    if server is not None:
        ledger.servers[owner] = server
    else:
        ledger.owe(owner, Unplaced(time.monotonic()))


def carried(ledger: Ledger) -> str:
    """Return the token of what the ledger owes; empty when it owes nothing.

    Asks each owner that was written, or read in a replica's place, for its position: one query each, on this thread's
    connection.
    """
    lines = (_line(owner, ledger) for owner in sorted(ledger.owed.keys() | ledger.last.keys() | ledger.servers.keys()))
    return token.encode(line for line in lines if line is not None)


def _line(owner: str, ledger: Ledger) -> Line | None:
    group = set_of(owner)
    owed = None if group.in_step else ledger.position(owner)
    position = _asked(owner) if type(owed) is Unplaced else owed
    unknown = owed is not None and position is None
    if position is not None and group.passed(position):
        position = None
    server = ledger.servers.get(owner)
    line = Line(owner, position, unknown, ledger.last.get(owner, ""), token.mark(server) if server else "")
    return line if position is not None or unknown or line.last or server else None


def _is_owed(owner: str, position: Position) -> bool:
    group = set_of(owner)
    if group.in_step or group.passed(position):
        return False
    reached = group.sample.answer.position if group.sample else None
    if group.sample is None or reached is None or reached.covers(position):
        return True
    if reached.foreign_to(position):
        rejected.send(sender=Line, reason="foreign")
        return False
    # Another worker may know a newer position than this one's last sample. A sample begun after we saw it does not lie.
    if group.sample.begun_at > _ahead.since(owner, position):
        rejected.send(sender=Line, reason="future")
        return False
    return True


def _stronger(one: Line, other: Line) -> Line:
    """Return a line that owes what either does, as a client may send both the cookie and the header."""
    last, server = other.last or one.last, other.server or one.server
    if one.position is None or other.position is None:
        both = one.position or other.position
    elif one.position.covers(other.position):
        both = one.position
    else:
        both = other.position if other.position.covers(one.position) else None
    # No position bounds two that cannot be compared, and none is known that bounds what two replicas showed.
    apart = both is None and one.position is not None
    parted = (last, server) != (one.last or other.last, one.server or other.server)
    if one.unknown or other.unknown or apart or parted:
        return Line(one.owner, None, unknown=True)
    return Line(one.owner, both, last=last, server=server)


def _asked(owner: str) -> Position | None:
    """Return the owner's position; None when it cannot be had, or would say nothing of a transaction still open."""
    connection = connections[owner]
    if connection.connection is None or alias_in_program_transaction(owner):
        return None
    try:
        with connection.cursor() as cursor:
            return dialect_of(connection.vendor, connection.connection).written(cursor)
    except (DatabaseError, ValueError) as error:
        logger.warning(
            "The position of '%s' could not be asked for (%s): its reads go to it until it can.",
            owner,
            type(error).__name__,
        )
        return None
