"""PostgreSQL: a position is a log sequence number (LSN) on a timeline of one system.

https://www.postgresql.org/docs/18/functions-admin.html#FUNCTIONS-ADMIN-BACKUP and #FUNCTIONS-RECOVERY-CONTROL
"""

from typing import Any, NamedTuple, Self

from switchyard.positions.base import Position, ServerStatus

_PAGE_HEADER_BYTES = 24  # at the start of each page of the log
_SEGMENT_HEADER_BYTES = 40  # at the start of each segment

# With its start time: after a crash a standby may show older rows than before, so it counts as another server.
_SERVER_ID = (
    "concat_ws('/', host(inet_server_addr()), inet_server_port(), extract(epoch FROM pg_postmaster_start_time()))"
)
# A role with pg_read_all_stats reads the timeline that a standby streams in pg_stat_wal_receiver. For other roles the
# control file has the timeline, from the last restart point on.
_STATUS_QUERY = f"""
SELECT {_SERVER_ID},
       recovering,
       current_setting('transaction_read_only') = 'off' OR NOT recovering,
       system_identifier::text,
       CASE WHEN recovering
            THEN greatest(timeline_id, min_recovery_end_timeline, (SELECT received_tli FROM pg_stat_wal_receiver))
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END,
       CASE WHEN recovering THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END - '0/0'::pg_lsn,
       CASE WHEN NOT recovering THEN pg_last_wal_replay_lsn() - '0/0'::pg_lsn END,
       wal_block_size,
       bytes_per_wal_segment
FROM pg_is_in_recovery() AS recovering, pg_control_system(), pg_control_checkpoint(), pg_control_recovery(),
     pg_control_init()
/* switchyard */
"""

# A client waits for this query after its write. It leaves out the columns for standbys and takes half the time.
_CURRENT_POSITION_QUERY = """
SELECT system_identifier::text, pg_walfile_name(inserted), inserted::text,
       current_setting('wal_block_size'), current_setting('wal_segment_size')
FROM pg_control_system(), pg_current_wal_insert_lsn() AS inserted
/* switchyard */
"""
_UNIT_BITS = {"MB": 20, "GB": 30}


class Lsn(NamedTuple):
    """A place in the log of one system, in bytes from the beginning of the log."""

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

    def after(self, earlier: Position) -> Self:
        # A standby whose stream is broken shows the timeline of its last restart point.
        if not isinstance(earlier, Lsn) or self.system != earlier.system:
            return self
        return self._replace(timeline=max(self.timeline, earlier.timeline))

    def text(self) -> str:
        return f"{self.system}/{self.timeline}/{self.lsn >> 32:X}/{self.lsn & 0xFFFFFFFF:X}"

    @classmethod
    def parse(cls, text: str) -> Self:
        system, timeline, high, low = text.split("/")
        return cls(system, int(timeline), (int(high, 16) << 32) + int(low, 16))


def status(cursor: Any) -> ServerStatus:
    cursor.execute(_STATUS_QUERY)
    server, is_standby, writable, system, timeline, lsn, replayed, page_bytes, segment_bytes = cursor.fetchone()
    if lsn is None:  # a standby that has not replayed anything yet
        return ServerStatus(server, is_standby, writable, None)
    place = int(lsn) if is_standby else replayable_lsn(int(lsn), page_bytes, segment_bytes)
    # The end of recovery stays known after a promotion, which made a timeline that is at least one later.
    before = Lsn(system, timeline - 1, int(replayed)) if replayed is not None else None
    return ServerStatus(server, is_standby, writable, Lsn(system, timeline, place), before)


def server_id(cursor: Any) -> str:
    cursor.execute(f"SELECT {_SERVER_ID} /* switchyard */")
    return str(cursor.fetchone()[0])


def current_position(cursor: Any) -> Position:
    cursor.execute(_CURRENT_POSITION_QUERY)  # on a standby the server raises an error
    system, file, lsn, page, segment = cursor.fetchone()
    position = Lsn.parse(f"{system}/{int(file[:8], 16)}/{lsn}")
    segment_bytes = int(segment[:-2]) << _UNIT_BITS[segment[-2:]]
    return position._replace(lsn=replayable_lsn(position.lsn, int(page), segment_bytes))


def replayable_lsn(insert_lsn: int, page_bytes: int, segment_bytes: int) -> int:
    """Return the LSN of a standby that has replayed all records before the insert position of its owner.

    A record may end exactly at the end of a page. The insert position is then after the header of the next page, but
    this header is written, and replayed, only with the next record. Every other insert position stays as it is:
    rounding down would lose the last commit.

    >>> replayable_lsn(3 * 8192 + 24, page_bytes=8192, segment_bytes=16 * 1024**2) == 3 * 8192
    True
    """
    if insert_lsn % segment_bytes == _SEGMENT_HEADER_BYTES:
        return insert_lsn - _SEGMENT_HEADER_BYTES
    if insert_lsn % page_bytes == _PAGE_HEADER_BYTES:
        return insert_lsn - _PAGE_HEADER_BYTES
    return insert_lsn
