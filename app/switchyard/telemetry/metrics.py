"""The metrics and their label sets, which are closed when the process starts. docs/metrics.md explains each of them.

To add a metric, add its name and its Family here, call `switchyard.telemetry.count` where the event happens, and add
a row to docs/metrics.md.
"""

from itertools import permutations

from django.db import connections

from switchyard.routing.selection.rules import RULES
from switchyard.routing.topology.ownership import database_aliases, owners
from switchyard.routing.topology.tables import app_labels
from switchyard.telemetry.layout import OTHER, Axis, Family, Layout

QUERIES = "switchyard_queries_total"
DURATION = "db_client_operation_duration_seconds"
DURATION_BUCKET = "db_client_operation_duration_seconds_bucket"  # the samples of its buckets
ERRORS = "switchyard_query_errors_total"
ROWS = "switchyard_rows_total"
DECISIONS = "switchyard_decisions_total"
REJECTED = "switchyard_positions_rejected_total"
VIOLATIONS = "switchyard_violations_total"
TRANSACTIONS = "switchyard_transactions_total"
TRANSACTION_DURATION = "switchyard_transaction_duration_seconds"
CONNECTIONS_OPENED = "switchyard_connections_opened_total"
CONNECTIONS_CLOSED = "switchyard_connections_closed_total"
CONNECTION_ERRORS = "switchyard_connections_errors_total"
POOL_TIMEOUTS = "db_client_connection_timeouts_total"
REQUEST_QUERIES = "switchyard_request_queries"
CROSS_DATABASE_QUERIES = "switchyard_cross_database_queries_total"
CROSS_DATABASE_KEYS = "switchyard_cross_database_keys_total"
CROSS_DATABASE_DURATION = "switchyard_cross_database_seconds"
TOMBSTONES = "switchyard_tombstones_total"
REFERENCE_CHILDREN = "switchyard_reference_children_total"

DURATION_BUCKETS_SECONDS = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
REQUEST_BUCKETS = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0)
TRANSACTION_BUCKETS_SECONDS = (0.01, 0.1, 0.5, 1.0, 5.0, 30.0)
CROSS_DATABASE_BUCKETS_SECONDS = (0.005, 0.05, 0.5, 5.0, 50.0)
STRATEGIES = ("attach", "chunks", "one_statement", "probe", "temporary_table")  # of queries across databases
TOMBSTONE_OUTCOMES = ("handled", "parent_exists", "failed", "set_aside")  # of attempts of the worker
CHILD_OUTCOMES = ("deleted", "set_null")  # of children whose parent is gone
OPERATIONS = ("read", "write", "ddl", "tx", OTHER)
VIOLATION_KINDS = (
    *("replica_write", "read_only_owner_write", "read_only_block_write", "access_mode", "misplaced_write"),
    *("cross_owner_query", "cross_owner_cascade", "stale_save", "early_on_commit", "cross_owner_transaction"),
)
ROW_DIRECTIONS = ("returned", "affected")  # in the order in which counting/call_counter.py adds to them
WRITE = "write"  # operation and reason of the decision where to write
REJECTION_REASONS = ("forged", "unknown_key", "other_system", "future")
NO_SQLSTATE = "none"  # for drivers without SQLSTATE, and for errors that did not come from a server
SQLSTATE_CLASSES = {  # DB-API class -> the SQLSTATE classes that tell its errors apart
    "InterfaceError": (),
    "DataError": ("22",),
    "OperationalError": ("08", "28", "40", "53", "54", "55", "57", "58"),
    "IntegrityError": ("23",),
    "InternalError": ("25", "XX"),
    "ProgrammingError": ("3D", "42"),
    "NotSupportedError": ("0A",),
    "DatabaseError": (),
    OTHER: (),
}


def layout() -> Layout:
    """Return the layout for the aliases in DATABASES and the apps that own tables."""
    aliases = database_aliases()
    alias = Axis.of("alias", (*aliases, OTHER))
    operation = Axis.of("operation", OPERATIONS)
    vendor = Axis(("alias", "vendor"), (*((alias, connections[alias].vendor) for alias in aliases), (OTHER, OTHER)))
    error = Axis(
        ("error", "sqlstate_class"),
        tuple((name, state) for name, states in SQLSTATE_CLASSES.items() for state in (*states, NO_SQLSTATE, OTHER)),
    )
    decided = Axis(("operation", "reason"), ((WRITE, WRITE), *(("read", rule.name) for rule in RULES), (OTHER, OTHER)))
    rejection = Axis.of("reason", (*REJECTION_REASONS, OTHER))
    kind = Axis.of("kind", (*VIOLATION_KINDS, OTHER))
    across = Axis(("source", "target"), (*permutations(owners(), 2), (OTHER, OTHER)))
    strategy = Axis.of("strategy", STRATEGIES)
    return Layout(
        (
            Family(QUERIES, "Calls into the database driver.", (alias, operation, Axis.of("app", app_labels()))),
            Family(DURATION, "Duration of these calls in seconds.", (vendor, operation), DURATION_BUCKETS_SECONDS),
            Family(ERRORS, "Calls into the database driver that raised an error.", (vendor, error)),
            Family(ROWS, "Rows that servers returned or affected.", (alias, Axis.of("direction", ROW_DIRECTIONS))),
            Family(DECISIONS, "Decisions of the routers.", (alias, decided)),
            Family(REJECTED, "Tokens and positions of clients that the service could not use.", (rejection,)),
            Family(VIOLATIONS, "Statements refused by a guard, and mistakes found by a policy.", (kind, alias)),
            Family(TRANSACTIONS, "Transactions that ended.", (alias, Axis.of("outcome", ("commit", "rollback")))),
            Family(TRANSACTION_DURATION, "Duration of transactions in seconds.", (alias,), TRANSACTION_BUCKETS_SECONDS),
            Family(REQUEST_QUERIES, "Queries of a request that used the alias.", (alias,), REQUEST_BUCKETS),
            Family(CROSS_DATABASE_QUERIES, "Queries across databases.", (across, strategy)),
            Family(CROSS_DATABASE_KEYS, "Keys that these queries read from their source.", (across, strategy)),
            Family(
                CROSS_DATABASE_DURATION,
                "Duration of these queries in seconds.",
                (across, strategy),
                CROSS_DATABASE_BUCKETS_SECONDS,
            ),
            Family(TOMBSTONES, "Deleted parents that the worker looked at.", (across, _outcomes(TOMBSTONE_OUTCOMES))),
            Family(REFERENCE_CHILDREN, "Children that the worker reached.", (across, _outcomes(CHILD_OUTCOMES))),
            Family(CONNECTIONS_OPENED, "Connections that were opened.", (alias,)),
            Family(CONNECTIONS_CLOSED, "Connections that were closed.", (alias,)),
            Family(CONNECTION_ERRORS, "Connections that could not be opened.", (alias,)),
            Family(POOL_TIMEOUTS, "Waits for a connection of the pool that ended without one.", (alias,)),
        )
    )


def _outcomes(values: tuple[str, ...]) -> Axis:
    return Axis.of("outcome", values)
