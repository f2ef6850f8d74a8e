"""Queries whose keys lie on one database and whose rows on another."""

from switchyard.crossdb.queries import rows_by_key

__all__ = ["rows_by_key"]
