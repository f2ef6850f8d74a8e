"""MariaDB: the last sequence number of each replication domain. https://mariadb.com/kb/en/gtid/"""

from typing import Any, NamedTuple, Self

from switchyard.routing.positions.position import Answer, Position

_SERVER = "CONCAT_WS('/', @@hostname, @@port, @@server_id)"
_ASK = f"""
SELECT {_SERVER}, @@global.read_only, @@global.gtid_binlog_pos,
       @@global.gtid_slave_pos /* switchyard */
"""


class Gtids(NamedTuple):
    """Sequence numbers by domain, in the order of the domains."""

    domains: tuple[tuple[int, int, int], ...]  # domain, server that wrote it, sequence number

    def covers(self, other: Position) -> bool:
        own = {domain: sequence for domain, _, sequence in self.domains}
        return isinstance(other, Gtids) and all(own.get(domain, -1) >= wanted for domain, _, wanted in other.domains)

    def distance(self, other: Position) -> int | None:
        return None

    def foreign_to(self, other: Position) -> bool:
        return not isinstance(other, Gtids) or not {d for d, *_ in self.domains} & {d for d, *_ in other.domains}

    def superseded_by(self, other: Position) -> bool:
        return False  # as on MySQL

    def text(self) -> str:
        return ",".join(f"{domain}-{server}-{sequence}" for domain, server, sequence in self.domains)

    @classmethod
    def parse(cls, text: str) -> Self:
        domains = []
        for entry in text.split(","):
            domain, server, sequence = (int(number) for number in entry.split("-"))
            domains.append((domain, server, sequence))
        return cls(tuple(sorted(domains)))


def ask(cursor: Any) -> Answer:
    cursor.execute(_ASK)
    server, read_only, wrote, replayed = cursor.fetchone()
    text = replayed if read_only else wrote
    return Answer(server, bool(read_only), not read_only, Gtids.parse(text) if text else None)


def server(cursor: Any) -> str:
    cursor.execute(f"SELECT {_SERVER} /* switchyard */")
    return str(cursor.fetchone()[0])


def written(cursor: Any) -> Position:
    position = ask(cursor).position
    if position is None:
        raise ValueError("The server keeps no GTIDs: set log_bin.")
    return position
