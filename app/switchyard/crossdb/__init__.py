"""Queries and references across databases: keys on one database, rows on another database."""

from switchyard.crossdb.attach import aattach, attach
from switchyard.crossdb.attachment import Keyed
from switchyard.crossdb.explain import explain_cross
from switchyard.crossdb.expression import CrossDatabaseIn, TooManyKeysError
from switchyard.crossdb.references import (
    CrossDatabaseForeignKey,
    CrossDatabaseJoinError,
    ForgetDeletionsOf,
    RecordDeletions,
    RecordDeletionsOf,
)

__all__ = [
    "CrossDatabaseForeignKey",
    "CrossDatabaseIn",
    "CrossDatabaseJoinError",
    "ForgetDeletionsOf",
    "Keyed",
    "RecordDeletions",
    "RecordDeletionsOf",
    "TooManyKeysError",
    "aattach",
    "attach",
    "explain_cross",
]
