"""The dialect of each server, and positions of any vendor as text.

The queries and the notation of each vendor are in the vendor's module.
"""

from typing import Any

from switchyard.positions import mariadb, mysql, postgresql
from switchyard.positions.base import Dialect, Position
from switchyard.positions.mariadb import MariaDBGtid
from switchyard.positions.mysql import MySQLGtidSet
from switchyard.positions.postgresql import Lsn

# Vendors with positions, by Django's names: MariaDB is `mysql`. Replicas of other vendors do not lag.
VENDORS = frozenset({"postgresql", "mysql"})
_TYPES: dict[str, type[Position]] = {"lsn": Lsn, "gtids": MySQLGtidSet, "domains": MariaDBGtid}
_NAMES = {position_type: name for name, position_type in _TYPES.items()}


def dialect_for(vendor: str, driver_connection: Any) -> Dialect:
    """Return the dialect of the server behind an open connection of the driver.

    `vendor` is `connection.vendor` of Django. No query: MariaDB sends its name when a connection opens.
    """
    if vendor == "postgresql":
        return postgresql
    return mariadb if "MariaDB" in driver_connection.get_server_info() else mysql


def serialize(position: Position) -> str:
    """Return the position as text that `parse()` reads.

    >>> serialize(Lsn(system="7300000000000000001", timeline=1, lsn=0x16_B374D848))
    'lsn=7300000000000000001/1/16/B374D848'
    """
    return f"{_NAMES[type(position)]}={position.text()}"


def parse(text: str) -> Position:
    """Return the position of a text from `serialize()`. Raises ValueError.

    >>> parse("domains=0-1-9").includes(parse("domains=0-1-8"))
    True
    """
    name, _, notation = text.partition("=")
    if name not in _TYPES:
        raise ValueError(f"'{text}' is no position: it must begin with one of {', '.join(_TYPES)} and '='.")
    return _TYPES[name].parse(notation)
