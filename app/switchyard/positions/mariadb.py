"""MariaDB: the last sequence number of each replication domain. https://mariadb.com/kb/en/gtid/"""

from typing import Any, NamedTuple, Self

from switchyard.positions.base import Position, ServerStatus

_SERVER = "CONCAT_WS('/', @@hostname, @@port, @@server_id)"
# What a server has is what it logged and, if it was a replica without log_slave_updates, what it replayed.
_ASK = f"""
SELECT {_SERVER}, @@global.read_only, @@global.gtid_slave_pos,
       IF(@@global.log_bin,
          CONCAT_WS(',', NULLIF(@@global.gtid_binlog_pos, ''), NULLIF(@@global.gtid_slave_pos, '')), '')
/* switchyard */
"""
_WRITABLE = frozenset({"0", "OFF"})  # read_only is a number, and a word since 12.0


class MariaDBGtid(NamedTuple):
    """Sequence numbers by domain, in the order of the domains."""

    domains: tuple[tuple[int, int, int], ...]  # domain, server that wrote it, sequence number

    def includes(self, other: Position) -> bool:
        own = {domain: sequence for domain, _, sequence in self.domains}
        return isinstance(other, MariaDBGtid) and all(
            own.get(domain, -1) >= wanted for domain, _, wanted in other.domains
        )

    def bytes_behind(self, other: Position) -> int | None:
        return None

    def different_system(self, other: Position) -> bool:
        return not isinstance(other, MariaDBGtid) or not {d for d, *_ in self.domains} & {d for d, *_ in other.domains}

    def superseded_by(self, other: Position) -> bool:
        return False  # as on MySQL

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
    server, read_only, replayed, has = _row(cursor)
    writable = str(read_only) in _WRITABLE
    # Not all that a replica has: a write of its own there takes a number that its owner gives to another one.
    text = has if writable else replayed
    return ServerStatus(server, not writable, writable, MariaDBGtid.parse(text) if text else None)


def server_id(cursor: Any) -> str:
    cursor.execute(f"SELECT {_SERVER} /* switchyard */")
    return str(cursor.fetchone()[0])


def current_position(cursor: Any) -> Position:
    # Not @@last_gtid: what was read counts, too, and another connection may have written.
    *_, has = _row(cursor)  # whether it is read-only by now or not
    if not has:
        raise ValueError("The server keeps no GTIDs: set log_bin.")
    return MariaDBGtid.parse(has)


def _row(cursor: Any) -> tuple[Any, ...]:
    cursor.execute(_ASK)
    row: tuple[Any, ...] = cursor.fetchone()
    return row
