"""PostgreSQL: log sequence numbers, on the timeline of one system.

https://www.postgresql.org/docs/18/functions-admin.html#FUNCTIONS-ADMIN-BACKUP and #FUNCTIONS-RECOVERY-CONTROL
"""

from typing import Any, NamedTuple, Self

from switchyard.positions.base import Position, ServerStatus

_PAGE_HEADER = 24  # bytes at the start of a page of the log
_SEGMENT_HEADER = 40  # bytes at the start of a segment

# With the time of its start: after a crash a standby may show rows from before those that it has shown.
_SERVER = "concat_ws('/', host(inet_server_addr()), inet_server_port(), extract(epoch FROM pg_postmaster_start_time()))"
# A standby tells the timeline that it streams to a role that may read pg_stat_wal_receiver (pg_read_all_stats); the
# control file follows at restart points.
_ASK = f"""
SELECT {_SERVER},
       recovering,
       current_setting('transaction_read_only') = 'off' OR NOT recovering,
       system_identifier::text,
       CASE WHEN recovering
            THEN greatest(timeline_id, min_recovery_end_timeline, (SELECT received_tli FROM pg_stat_wal_receiver))
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END,
       CASE WHEN recovering THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END - '0/0'::pg_lsn,
       wal_block_size,
       bytes_per_wal_segment
FROM pg_is_in_recovery() AS recovering, pg_control_system(), pg_control_checkpoint(), pg_control_recovery(),
     pg_control_init()
/* switchyard */
"""

# What a client waits for after its write, so without what a standby alone has to say: it takes half as long.
_WRITTEN = """
SELECT system_identifier::text, pg_walfile_name(inserted), inserted::text,
       current_setting('wal_block_size'), current_setting('wal_segment_size')
FROM pg_control_system(), pg_current_wal_insert_lsn() AS inserted
/* switchyard */
"""
_UNITS = {"MB": 20, "GB": 30}


class Lsn(NamedTuple):
    """A place in the log of one system."""

    system: str
    timeline: int
    lsn: int

    def includes(self, other: Position) -> bool:
        return (
            isinstance(other, Lsn)
            and self.lsn >= other.lsn
            and self.timeline >= other.timeline
            and self.system == other.system
        )

    def bytes_behind(self, other: Position) -> int | None:
        return max(other.lsn - self.lsn, 0) if isinstance(other, Lsn) else None

    def different_system(self, other: Position) -> bool:
        return not isinstance(other, Lsn) or self.system != other.system

    def superseded_by(self, other: Position) -> bool:
        return isinstance(other, Lsn) and self.system == other.system and self.timeline < other.timeline

    def text(self) -> str:
        return f"{self.system}/{self.timeline}/{self.lsn >> 32:X}/{self.lsn & 0xFFFFFFFF:X}"

    @classmethod
    def parse(cls, text: str) -> Self:
        system, timeline, high, low = text.split("/")
        return cls(system, int(timeline), (int(high, 16) << 32) + int(low, 16))


def status(cursor: Any) -> ServerStatus:
    cursor.execute(_ASK)
    server, follows, writable, system, timeline, lsn, page, segment = cursor.fetchone()
    if lsn is None:  # a standby that has not replayed anything yet
        return ServerStatus(server, follows, writable, None)
    place = int(lsn) if follows else reached(int(lsn), page, segment)
    return ServerStatus(server, follows, writable, Lsn(system, timeline, place))


def server_id(cursor: Any) -> str:
    cursor.execute(f"SELECT {_SERVER} /* switchyard */")
    return str(cursor.fetchone()[0])


def current_position(cursor: Any) -> Position:
    cursor.execute(_WRITTEN)  # an error of the server where that is a standby
    system, file, lsn, page, segment = cursor.fetchone()
    at = Lsn.parse(f"{system}/{int(file[:8], 16)}/{lsn}")
    return at._replace(lsn=reached(at.lsn, int(page), int(segment[:-2]) << _UNITS[segment[-2:]]))


def reached(insert_lsn: int, page: int, segment: int) -> int:
    """Return the place that a standby reaches by replaying all records before this place of insertion.

    Right after a record that ends a page the place is behind the next page's header, which is written, and replayed,
    with the next record only. Every other place is taken as it is: rounded, it would lose the last commit.
    """
    if insert_lsn % segment == _SEGMENT_HEADER:
        return insert_lsn - _SEGMENT_HEADER
    if insert_lsn % page == _PAGE_HEADER:
        return insert_lsn - _PAGE_HEADER
    return insert_lsn
