"""MariaDB: a position is the last sequence number of each replication domain. https://mariadb.com/kb/en/gtid/"""

from typing import Any, NamedTuple, Self

from switchyard.positions.base import Position, ServerStatus

_SERVER_ID = "CONCAT_WS('/', @@hostname, @@port, @@server_id)"
# A server has everything that it logged. Without log_slave_updates it also has its replayed position as a replica.
_STATUS_QUERY = f"""
SELECT {_SERVER_ID}, @@global.read_only, @@global.gtid_slave_pos,
       IF(@@global.log_bin,
          CONCAT_WS(',', NULLIF(@@global.gtid_binlog_pos, ''), NULLIF(@@global.gtid_slave_pos, '')), '')
/* switchyard */
"""
_WRITABLE = frozenset({"0", "OFF"})  # read_only is a number; since MariaDB 12.0 it is a word


class MariaDBGtid(NamedTuple):
    """The last sequence number of each domain, in the order of the domains."""

    domains: tuple[tuple[int, int, int], ...]  # domain, id of the server that wrote, sequence number

    def includes(self, other: Position) -> bool:
        own = {domain: sequence for domain, _, sequence in self.domains}
        return isinstance(other, MariaDBGtid) and all(
            own.get(domain, -1) >= sequence for domain, _, sequence in other.domains
        )

    def bytes_behind(self, other: Position) -> int | None:
        return None

    def different_system(self, other: Position) -> bool:
        return not isinstance(other, MariaDBGtid) or not {d for d, *_ in self.domains} & {d for d, *_ in other.domains}

    def superseded_by(self, other: Position) -> bool:
        return False  # no timelines, as on MySQL

    def after(self, earlier: Position) -> Self:
        return self

    def text(self) -> str:
        return ",".join(f"{domain}-{server}-{sequence}" for domain, server, sequence in self.domains)

    @classmethod
    def parse(cls, text: str) -> Self:
        last: dict[int, tuple[int, int]] = {}
        for entry in text.split(","):
            domain, server, sequence = (int(number) for number in entry.split("-"))
            last[domain] = max((sequence, server), last.get(domain, (0, 0)))
        return cls(tuple((domain, server, sequence) for domain, (sequence, server) in sorted(last.items())))


def status(cursor: Any) -> ServerStatus:
    server, read_only, replayed, written = _row(cursor)
    writable = str(read_only) in _WRITABLE
    # A replica's own write takes a sequence number that the owner gives to another write, so it does not count.
    text = written if writable else replayed
    return ServerStatus(server, not writable, writable, MariaDBGtid.parse(text) if text else None)


def server_id(cursor: Any) -> str:
    cursor.execute(f"SELECT {_SERVER_ID} /* switchyard */")
    return str(cursor.fetchone()[0])


def current_position(cursor: Any) -> Position:
    # Not @@last_gtid: the client may have read rows that another connection wrote.
    *_, written = _row(cursor)  # also if the server has become read-only since the write
    if not written:
        raise ValueError("The server has no GTIDs, so its replicas cannot be compared with it: set log_bin.")
    return MariaDBGtid.parse(written)


def _row(cursor: Any) -> tuple[Any, ...]:
    cursor.execute(_STATUS_QUERY)
    row: tuple[Any, ...] = cursor.fetchone()
    return row
