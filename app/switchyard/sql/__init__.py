"""The classification of a SQL text, without a database and without Django.

The package imports nothing of Switchyard outside itself. It does not decide which statements are refused.
"""

from switchyard.sql.classifier import Statement, classify, statement_text, statements_of
from switchyard.sql.masking import masked, normalized

__all__ = ["Statement", "classify", "masked", "normalized", "statement_text", "statements_of"]
