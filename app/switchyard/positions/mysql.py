"""MySQL: sets of global transaction identifiers. https://dev.mysql.com/doc/refman/9.7/en/replication-gtids-concepts.html"""

from typing import Any, NamedTuple, Self

from switchyard.positions.base import Position, ServerStatus

_SERVER = "@@server_uuid"
# Where GTIDs were turned off, those from before are still there.
_ASK = f"""
SELECT {_SERVER}, @@global.read_only, @@global.super_read_only,
       IF(@@global.gtid_mode IN ('ON', 'ON_PERMISSIVE'), @@global.gtid_executed, '')
/* switchyard */
"""

type _Intervals = tuple[tuple[int, int], ...]


class MySQLGtidSet(NamedTuple):
    """Transactions by source: the server's UUID, with a tag behind it where there is one, and intervals of numbers."""

    sources: tuple[tuple[str, _Intervals], ...]

    def includes(self, other: Position) -> bool:
        if not isinstance(other, MySQLGtidSet):
            return False
        own = dict(self.sources)
        return all(_contain(own.get(source, ()), intervals) for source, intervals in other.sources)

    def bytes_behind(self, other: Position) -> int | None:
        return None

    def different_system(self, other: Position) -> bool:
        return not isinstance(other, MySQLGtidSet) or not dict(self.sources).keys() & dict(other.sources).keys()

    def superseded_by(self, other: Position) -> bool:
        return False  # servers have no timeline: one that was superseded has to be read-only

    def text(self) -> str:
        return ",".join(
            ":".join((source, *(f"{first}-{last}" for first, last in intervals))) for source, intervals in self.sources
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        sources: dict[str, list[tuple[int, int]]] = {}
        for entry in text.split(","):
            uuid, *parts = (part.strip().lower() for part in entry.split(":"))
            source = uuid
            for part in parts:
                if part[:1].isdigit():
                    first, _, last = part.partition("-")
                    sources.setdefault(source, []).append((int(first), int(last or first)))
                else:
                    source = f"{uuid}:{part}"
        return cls(tuple((source, tuple(sorted(intervals))) for source, intervals in sorted(sources.items())))


def status(cursor: Any) -> ServerStatus:
    cursor.execute(_ASK)
    server, read_only, super_read_only, executed = cursor.fetchone()
    # The only sign of a replica that every user may read; one that takes writes counts as promoted.
    fenced = bool(read_only or super_read_only)
    return ServerStatus(server, fenced, not fenced, MySQLGtidSet.parse(executed) if executed else None)


def server_id(cursor: Any) -> str:
    cursor.execute(f"SELECT {_SERVER} /* switchyard */")
    return str(cursor.fetchone()[0])


def current_position(cursor: Any) -> Position:
    # Not only what the server itself wrote: after a change of roles that may be nothing new.
    position = status(cursor).position
    if position is None:
        raise ValueError("The server keeps no GTIDs: set gtid_mode=ON.")
    return position


def _contain(intervals: _Intervals, wanted: _Intervals) -> bool:
    return all(any(first <= low and high <= last for first, last in intervals) for low, high in wanted)
