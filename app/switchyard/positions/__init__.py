"""Positions in the log of an owner, and the queries that ask a server for its position: one module per vendor.

The package imports nothing of Switchyard outside itself, and nothing of Django. It does not decide which replica has
caught up for which client.
"""

from switchyard.positions.base import Dialect, Position, ServerStatus
from switchyard.positions.registry import VENDORS, dialect_for, parse, serialize

__all__ = ["VENDORS", "Dialect", "Position", "ServerStatus", "dialect_for", "parse", "serialize"]
