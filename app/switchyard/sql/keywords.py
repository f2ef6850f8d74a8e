"""What words mean in SQL, as tables: which verb does what, which PRAGMA only reads."""

from typing import Literal

type Operation = Literal["read", "write", "ddl", "tx", "other"]

# A statement's class by its first word. A word that is missing here is a write: better refused than missed.
_WORDS: dict[Operation, str] = {
    "read": "SELECT VALUES TABLE WITH FETCH MOVE DECLARE EXPLAIN DESCRIBE DESC COPY",
    "write": "INSERT UPDATE DELETE MERGE REPLACE TRUNCATE CALL DO",
    "ddl": "CREATE ALTER DROP RENAME COMMENT GRANT REVOKE REASSIGN SECURITY REINDEX CLUSTER REFRESH VACUUM"
    " ANALYZE ANALYSE OPTIMIZE REPAIR",
    "tx": "BEGIN COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE XA",
    "other": "SET RESET SHOW USE DISCARD CLOSE DEALLOCATE PREPARE PRAGMA LISTEN UNLISTEN LOCK UNLOCK ATTACH DETACH",
}
VERBS = {word: operation for operation, words in _WORDS.items() for word in words.split()}
# Where the second word says more than the first.
PAIRS: dict[tuple[str, str], Operation] = {
    ("PREPARE", "TRANSACTION"): "tx",
    ("START", "TRANSACTION"): "tx",
    # What was prepared is seen by others from here on.
    ("COMMIT", "PREPARED"): "write",
    ("XA", "COMMIT"): "write",
    ("RESET", "MASTER"): "write",
    ("RESET", "BINARY"): "write",
    ("RESET", "PERSIST"): "write",
    ("RESET", "REPLICA"): "write",
    ("RESET", "SLAVE"): "write",
}
# Wherever they stand after SET: about the transaction, or outliving the session.
SET_SCOPES: dict[str, Operation] = {
    "TRANSACTION": "tx",
    "CONSTRAINTS": "tx",
    "AUTOCOMMIT": "tx",
    "GLOBAL": "write",
    "PERSIST": "write",
    "PERSIST_ONLY": "write",
    "PASSWORD": "write",
    "STATEMENT": "write",  # MariaDB's `SET STATEMENT ... FOR` runs any statement
}
# The verbs that change rows and can stand in a CTE or after one.
CHANGES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE"})

# Of several statements in one text the strongest class holds.
STRENGTH: dict[Operation, int] = {"other": 0, "tx": 1, "read": 2, "write": 3, "ddl": 4}

# SQLite: these take an argument and change the session only, or nothing; others write to the file.
READ_ONLY_PRAGMAS = frozenset(
    """
    table_info table_xinfo table_list index_list index_info index_xinfo foreign_key_list foreign_key_check
    integrity_check quick_check foreign_keys query_only busy_timeout cache_size temp_store synchronous mmap_size
    recursive_triggers defer_foreign_keys legacy_alter_table case_sensitive_like read_uncommitted
    """.upper().split()
)
WRITING_PRAGMAS = frozenset({"OPTIMIZE", "WAL_CHECKPOINT", "INCREMENTAL_VACUUM"})

# After a word that introduces a table, these may stand before its name.
_BEFORE = (
    "ONLY LATERAL TABLE IF NOT EXISTS OR ROLLBACK ABORT FAIL IGNORE LOW_PRIORITY HIGH_PRIORITY DELAYED OVERWRITE TEMP"
    " TEMPORARY"
)
BEFORE_TABLE = frozenset(_BEFORE.split())
# These end a list of tables: no name after them is one, until the next word that introduces one.
_AFTER = "SELECT WITH WHERE SET GROUP ORDER HAVING LIMIT OFFSET UNION EXCEPT INTERSECT VALUES WINDOW RETURNING WHEN"
AFTER_TABLES = frozenset(_AFTER.split())
