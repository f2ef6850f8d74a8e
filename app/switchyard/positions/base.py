"""What a position is, and what one question to a server tells: the small interface that each vendor's module fills.

A position says how far a server's rows have come. It is taken from the owner after a write and compared with what a
replica has replayed; times are never compared.
"""

from typing import Any, NamedTuple, Protocol, Self


class Position(Protocol):
    """How far an owner has written, or a replica has replayed. Immutable."""

    def includes(self, other: "Position") -> bool:
        """Tell whether a server at this position has everything that was there at the other one."""
        ...

    def bytes_behind(self, other: "Position") -> int | None:
        """Return how many bytes of log this position is behind the other, None where the vendor counts none."""
        ...

    def different_system(self, other: "Position") -> bool:
        """Tell whether the two can never meet, because they are of different systems."""
        ...

    def superseded_by(self, other: "Position") -> bool:
        """Tell whether the other is of a server that took this one's place, in the same system."""
        ...

    def text(self) -> str:
        """Return it in the vendor's own notation, for a token and for people."""
        ...

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the position of such a text. Raises ValueError."""
        ...


class ServerStatus(NamedTuple):
    """What a server says of itself, in one round trip."""

    server_id: str  # which server it is; differs for another one behind the same address
    is_standby: bool  # it replays another server's writes
    writable: bool  # it would take a write
    position: Position | None  # written on an owner, replayed on a replica; None where the server keeps no positions


class Dialect(Protocol):
    """A vendor's way to ask."""

    def status(self, cursor: Any) -> ServerStatus:
        """Ask the server what it is and how far it has come: one query."""
        ...

    def server_id(self, cursor: Any) -> str:
        """Return which server it is, as an answer says it: one query, of the cheapest."""
        ...

    def current_position(self, cursor: Any) -> Position:
        """Return the owner's position: with everything that was committed before. One query."""
        ...
