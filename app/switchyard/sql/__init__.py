"""What a SQL text does, told without a database and without Django."""

from switchyard.sql.classifier import Statement, classify, text_of

__all__ = ["Statement", "classify", "text_of"]
