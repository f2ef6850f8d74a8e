"""The words of SQL, as tables: the operation of each statement, and the words around the names of tables.

The names of functions are in `function_names.py`, the effects of words while a statement is read in `clauses.py`.
"""

from typing import Literal

type Operation = Literal["read", "write", "ddl", "tx", "other"]

# The operation of a statement by its first word. A statement with any other first word is a write: a wrong refusal is
# noticed, a missed write is not.
_WORDS: dict[Operation, str] = {
    "read": "SELECT VALUES TABLE WITH FETCH MOVE DECLARE EXPLAIN DESCRIBE DESC COPY",
    "write": "INSERT UPDATE DELETE MERGE REPLACE TRUNCATE CALL DO",
    "ddl": "CREATE ALTER DROP RENAME COMMENT GRANT REVOKE REASSIGN SECURITY REINDEX CLUSTER REFRESH VACUUM"
    " ANALYZE ANALYSE OPTIMIZE REPAIR",
    "tx": "BEGIN COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE XA",
    "other": "SET RESET SHOW USE DISCARD CLOSE DEALLOCATE PREPARE PRAGMA LISTEN UNLISTEN LOCK UNLOCK ATTACH DETACH",
}
VERBS = {word: operation for operation, words in _WORDS.items() for word in words.split()}
# The first words that mean something else to one vendor. MySQL's PREPARE takes any text, which may hold a write; its
# read-only transaction refuses that. MariaDB's DECLARE opens a block of code.
VERBS_OF_VENDOR: dict[str, dict[str, Operation]] = {
    "mysql": {
        **dict.fromkeys(("DO", "HANDLER", "HELP", "CHECKSUM"), "read"),
        **dict.fromkeys(("GET", "SIGNAL", "RESIGNAL"), "other"),
        **dict.fromkeys(("PREPARE", "DECLARE"), "write"),
    }
}
# The operation by the first two words, where the first word alone is not enough.
PAIRS: dict[tuple[str, str], Operation] = {
    ("PREPARE", "TRANSACTION"): "tx",
    ("START", "TRANSACTION"): "tx",
    # From here on other clients see the rows that the prepared transaction wrote.
    ("COMMIT", "PREPARED"): "write",
    ("XA", "COMMIT"): "write",
    ("SET", "DEFAULT"): "write",  # `SET DEFAULT ROLE` outlives the session
    ("RESET", "MASTER"): "write",
    ("RESET", "BINARY"): "write",
    ("RESET", "PERSIST"): "write",
    ("RESET", "REPLICA"): "write",
    ("RESET", "SLAVE"): "write",
}
# Words anywhere after SET: they change the transaction, or settings that outlive the session.
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
# Verbs that change rows. They can also stand in a CTE, or after the CTEs.
CHANGES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE"})

# First words that end a transaction, or begin one. `ROLLBACK TO` does neither.
TRANSACTION_VERBS = frozenset({"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "XA"})
# Words after BEGIN. With any other word it opens a block of code, as MariaDB has.
_AFTER_BEGIN = """
    WORK TRANSACTION ISOLATION LEVEL READ WRITE ONLY COMMITTED UNCOMMITTED REPEATABLE SERIALIZABLE NOT DEFERRABLE
    DEFERRED IMMEDIATE EXCLUSIVE CONCURRENT
"""
AFTER_BEGIN = frozenset(_AFTER_BEGIN.split())

# The operation of a text is the strongest operation of its statements.
STRENGTH: dict[Operation, int] = {"other": 0, "tx": 1, "read": 2, "write": 3, "ddl": 4}

# SQLite PRAGMAs that take an argument and change at most the session. All others with an argument write to the file.
READ_ONLY_PRAGMAS = frozenset(
    """
    table_info table_xinfo table_list index_list index_info index_xinfo foreign_key_list foreign_key_check
    integrity_check quick_check foreign_keys query_only busy_timeout cache_size temp_store synchronous mmap_size
    recursive_triggers defer_foreign_keys legacy_alter_table case_sensitive_like read_uncommitted
    """.upper().split()
)
# SQLite PRAGMAs that write without an argument.
WRITING_PRAGMAS = frozenset({"OPTIMIZE", "WAL_CHECKPOINT", "INCREMENTAL_VACUUM"})

# Words that may stand between a word that introduces a table and the name of the table.
_BEFORE = (
    "ONLY LATERAL TABLE IF NOT EXISTS OR ROLLBACK ABORT FAIL IGNORE LOW_PRIORITY HIGH_PRIORITY DELAYED OVERWRITE TEMP"
    " TEMPORARY"
)
BEFORE_TABLE = frozenset(_BEFORE.split())
# Words that end a list of tables. No name after them is a table, up to the next word that introduces tables.
_AFTER = (
    "SELECT WITH WHERE SET GROUP ORDER HAVING LIMIT OFFSET UNION EXCEPT INTERSECT VALUES WINDOW RETURNING WHEN QUALIFY"
)
AFTER_TABLES = frozenset(_AFTER.split())
