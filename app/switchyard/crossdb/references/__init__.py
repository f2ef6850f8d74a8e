"""References to rows of another database, which survive the deletion of these rows without an orphan."""

from switchyard.crossdb.references.deletions import RecordDeletions
from switchyard.crossdb.references.errors import CrossDatabaseJoinError
from switchyard.crossdb.references.field import CrossDatabaseForeignKey

__all__ = ["CrossDatabaseForeignKey", "CrossDatabaseJoinError", "RecordDeletions"]
