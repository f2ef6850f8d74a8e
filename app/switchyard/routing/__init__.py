"""Which alias a query goes to, and the guards that hold it there."""

from switchyard.routing.decisions import Decision, decide
from switchyard.routing.errors import (
    CrossOwnerTransactionError,
    EarlyOnCommitError,
    RoutingError,
    StaleSaveError,
    violations,
)
from switchyard.routing.known_tables import app_labels, app_of
from switchyard.routing.middleware import RoutingMiddleware
from switchyard.routing.owners import owner_of, owner_of_app, replicas_of, replicated_by, replication_set
from switchyard.routing.routers import AppRouter, PrimaryReplicaRouter
from switchyard.routing.state import allow_writes, use_primary
from switchyard.routing.statements import Statement, classify, text_of
from switchyard.routing.transactions import allow_cross_owner_writes

__all__ = [
    "AppRouter",
    "CrossOwnerTransactionError",
    "Decision",
    "EarlyOnCommitError",
    "PrimaryReplicaRouter",
    "RoutingError",
    "RoutingMiddleware",
    "StaleSaveError",
    "Statement",
    "allow_cross_owner_writes",
    "allow_writes",
    "app_labels",
    "app_of",
    "classify",
    "decide",
    "owner_of",
    "owner_of_app",
    "replicas_of",
    "replicated_by",
    "replication_set",
    "text_of",
    "use_primary",
    "violations",
]
