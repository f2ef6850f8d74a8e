"""Queries whose keys are on one database and whose rows are on another database."""

from switchyard.crossdb.errors import TooManyKeysError
from switchyard.crossdb.expression import CrossDatabaseIn

__all__ = ["CrossDatabaseIn", "TooManyKeysError"]
