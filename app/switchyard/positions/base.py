"""The interface of each vendor's module: a position, the status of a server, and the queries for both.

The owner's position is taken after a write and compared with the position that a replica has replayed. Clock times are
never compared.
"""

from typing import Any, NamedTuple, Protocol, Self


class Position(Protocol):
    """A place in the log of an owner: everything that an owner has written, or a replica has replayed. Immutable."""

    def includes(self, other: "Position") -> bool:
        """Return True if a server at this position has everything that a server at the other position has."""
        ...

    def bytes_behind(self, other: "Position") -> int | None:
        """Return the bytes of log from this position to the other; None if the vendor does not count bytes."""
        ...

    def different_system(self, other: "Position") -> bool:
        """Return True if the positions belong to different systems, so that neither can ever include the other."""
        ...

    def superseded_by(self, other: "Position") -> bool:
        """Return True if another server of the same system was promoted and has the other position."""
        ...

    def after(self, earlier: "Position") -> Self:
        """Return this position with what an earlier position of the same running server showed, and it hides now."""
        ...

    def text(self) -> str:
        """Return the position in the vendor's notation."""
        ...

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the position of a text in the vendor's notation. Raises ValueError."""
        ...


class ServerStatus(NamedTuple):
    """The answer of a server to one query about itself."""

    server_id: str  # different for each server behind one address
    is_standby: bool  # the server replays the log of another server
    writable: bool  # the server takes writes
    position: Position | None  # written on an owner, replayed on a replica; None if the server has no position
    replayed: Position | None = None  # on a promoted server: all that it replayed as a standby; None if unknown


class Dialect(Protocol):
    """The queries of one vendor. Each takes an open cursor of the driver and raises the driver's errors."""

    def status(self, cursor: Any) -> ServerStatus:
        """Ask the server for its status. One query."""
        ...

    def server_id(self, cursor: Any) -> str:
        """Ask the server for the `server_id` of its status. One query, much cheaper than `status()`."""
        ...

    def current_position(self, cursor: Any) -> Position:
        """Ask an owner for its position, which includes every write committed before. One query.

        Raises ValueError if the server keeps no positions.
        """
        ...
