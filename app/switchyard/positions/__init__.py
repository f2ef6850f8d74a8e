"""How far a server's rows have come: one small module per vendor."""

from switchyard.positions.base import Dialect, Position, ServerStatus
from switchyard.positions.registry import VENDORS, dialect_for, parse, serialize

__all__ = ["VENDORS", "Dialect", "Position", "ServerStatus", "dialect_for", "parse", "serialize"]
