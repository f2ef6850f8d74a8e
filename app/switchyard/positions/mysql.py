"""MySQL: a position is a set of global transaction identifiers (GTIDs).

https://dev.mysql.com/doc/refman/9.7/en/replication-gtids-concepts.html
"""

from typing import Any, NamedTuple, Self

from switchyard.positions.base import Position, ServerStatus

_SERVER_ID = "@@server_uuid"
# After gtid_mode is turned off, gtid_executed keeps the old GTIDs: they are no position of the server.
_STATUS_QUERY = f"""
SELECT {_SERVER_ID}, @@global.read_only, @@global.super_read_only,
       IF(@@global.gtid_mode IN ('ON', 'ON_PERMISSIVE'), @@global.gtid_executed, '')
/* switchyard */
"""

type _Intervals = tuple[tuple[int, int], ...]


class MySQLGtidSet(NamedTuple):
    """Intervals of transaction numbers by source. A source is the UUID of a server, with the tag of a tagged GTID."""

    sources: tuple[tuple[str, _Intervals], ...]

    def includes(self, other: Position) -> bool:
        if not isinstance(other, MySQLGtidSet):
            return False
        own = dict(self.sources)
        return all(_include(own.get(source, ()), intervals) for source, intervals in other.sources)

    def bytes_behind(self, other: Position) -> int | None:
        return None

    def different_system(self, other: Position) -> bool:
        return not isinstance(other, MySQLGtidSet) or not dict(self.sources).keys() & dict(other.sources).keys()

    def superseded_by(self, other: Position) -> bool:
        return False  # MySQL has no timelines: a superseded server must be made read-only

    def after(self, earlier: Position) -> Self:
        return self

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
    cursor.execute(_STATUS_QUERY)
    server, read_only, super_read_only, executed = cursor.fetchone()
    # The only sign of a replica that every user may read. A replica that takes writes counts as promoted.
    is_standby = bool(read_only or super_read_only)
    return ServerStatus(server, is_standby, not is_standby, MySQLGtidSet.parse(executed) if executed else None)


def server_id(cursor: Any) -> str:
    cursor.execute(f"SELECT {_SERVER_ID} /* switchyard */")
    return str(cursor.fetchone()[0])


def current_position(cursor: Any) -> Position:
    # With the GTIDs of other servers: after a promotion the rows that a client read may all be theirs.
    position = status(cursor).position
    if position is None:
        raise ValueError("The server has no GTIDs, so its replicas cannot be compared with it: set gtid_mode=ON.")
    return position


def _include(intervals: _Intervals, others: _Intervals) -> bool:
    return all(any(first <= low and high <= last for first, last in intervals) for low, high in others)
