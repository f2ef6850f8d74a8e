"""Queries whose keys are on one database and whose rows are on another database."""

from switchyard.crossdb.rows import rows_by_key

__all__ = ["rows_by_key"]
