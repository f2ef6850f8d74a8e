"""Which way to ask which server, and positions as text that says which way."""

from typing import Any

from switchyard.positions import mariadb, mysql, postgresql
from switchyard.positions.base import Dialect, Position
from switchyard.positions.mariadb import MariaDBGtid
from switchyard.positions.mysql import MySQLGtidSet
from switchyard.positions.postgresql import Lsn

# Vendors in Django's words; MariaDB is of vendor `mysql` there. What is not here has no replicas that lag.
VENDORS = frozenset({"postgresql", "mysql"})
_KINDS: dict[str, type[Position]] = {"lsn": Lsn, "gtids": MySQLGtidSet, "domains": MariaDBGtid}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def dialect_for(vendor: str, driver_connection: Any) -> Dialect:
    """Return how to ask the server behind an open connection. No query: MariaDB says its name when it greets."""
    if vendor == "postgresql":
        return postgresql
    return mariadb if "MariaDB" in driver_connection.get_server_info() else mysql


def serialize(position: Position) -> str:
    """Return the position as text, with its kind."""
    return f"{_NAMES[type(position)]}={position.text()}"


def parse(text: str) -> Position:
    """Return the position of `to_text()`. Raises ValueError."""
    kind, _, rest = text.partition("=")
    if kind not in _KINDS:
        raise ValueError(f"'{kind}' is no kind of position.")
    return _KINDS[kind].parse(rest)
