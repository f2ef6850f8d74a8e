"""References to rows of another database, which survive the deletion of these rows without an orphan."""

from switchyard.crossdb.references.deletions import RecordDeletions
from switchyard.crossdb.references.errors import CrossDatabaseJoinError
from switchyard.crossdb.references.field import CrossDatabaseForeignKey
from switchyard.crossdb.references.operations import ForgetDeletionsOf, RecordDeletionsOf

__all__ = [
    "CrossDatabaseForeignKey",
    "CrossDatabaseJoinError",
    "ForgetDeletionsOf",
    "RecordDeletions",
    "RecordDeletionsOf",
]
