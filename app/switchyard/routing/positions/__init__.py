"""How far a server's rows have come: one small module per vendor."""

from switchyard.routing.positions.dialects import VENDORS, dialect_of, from_text, to_text
from switchyard.routing.positions.position import Answer, Dialect, Position

__all__ = ["VENDORS", "Answer", "Dialect", "Position", "dialect_of", "from_text", "to_text"]
