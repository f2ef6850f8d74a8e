"""How far a server's rows have come: one small module per vendor."""

from switchyard.positions.base import Answer, Dialect, Position
from switchyard.positions.registry import VENDORS, dialect_of, from_text, to_text

__all__ = ["VENDORS", "Answer", "Dialect", "Position", "dialect_of", "from_text", "to_text"]
