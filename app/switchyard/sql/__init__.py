"""What a SQL text does, told without a database and without Django."""

from switchyard.sql.classifier import Statement, classify, statement_text

__all__ = ["Statement", "classify", "statement_text"]
