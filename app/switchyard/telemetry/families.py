"""The metrics that exist and their label sets, closed when the process starts; docs/metrics.md is for readers."""

from django.db import connections

from switchyard.routing.selection.rules import RULES
from switchyard.routing.topology.tables import app_labels
from switchyard.telemetry.layout import OTHER, Axis, Family, Layout

QUERIES = "switchyard_queries_total"
DURATION = "db_client_operation_duration_seconds"
ERRORS = "switchyard_query_errors_total"
DECISIONS = "switchyard_decisions_total"
REJECTED = "switchyard_positions_rejected_total"
VIOLATIONS = "switchyard_violations_total"

BUCKETS = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
OPERATIONS = ("read", "write", "ddl", "tx", OTHER)
VIOLATION_KINDS = (
    *("replica_write", "read_only_owner_write", "read_only_block_write", "misplaced_write", "cross_owner_query"),
    *("cross_owner_cascade", "stale_save", "early_on_commit", "cross_owner_transaction"),
)
WRITE = "write"  # the reason, and the operation, of a decision where to write
REJECTIONS = ("forged", "other_system", "future")
NO_SQLSTATE = "none"  # of drivers that tell none, and of errors that never reached a server
SQLSTATE_CLASSES = {  # the classes that an error of this DB-API class is told apart by
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
    aliases = tuple(connections.settings)
    alias = Axis.of("alias", (*aliases, OTHER))
    operation = Axis.of("operation", OPERATIONS)
    vendor = Axis(("alias", "vendor"), (*((alias, connections[alias].vendor) for alias in aliases), (OTHER, OTHER)))
    error = Axis(
        ("error", "sqlstate_class"),
        tuple((name, state) for name, states in SQLSTATE_CLASSES.items() for state in (*states, NO_SQLSTATE, OTHER)),
    )
    decided = Axis(("operation", "reason"), ((WRITE, WRITE), *(("read", rule.name) for rule in RULES), (OTHER, OTHER)))
    rejection = Axis.of("reason", (*REJECTIONS, OTHER))
    kind = Axis.of("kind", (*VIOLATION_KINDS, OTHER))
    return Layout(
        (
            Family(QUERIES, "Calls into the database driver.", (alias, operation, Axis.of("app", app_labels()))),
            Family(DURATION, "Seconds that calls into the database driver took.", (vendor, operation), BUCKETS),
            Family(ERRORS, "Calls into the database driver that raised.", (vendor, error)),
            Family(DECISIONS, "Decisions of the routers.", (alias, decided)),
            Family(REJECTED, "Positions that clients sent and that were ignored.", (rejection,)),
            Family(VIOLATIONS, "Statements that routing's guards refused.", (kind, alias)),
        )
    )
