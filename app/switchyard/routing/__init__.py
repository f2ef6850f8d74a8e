"""Which alias a query goes to, and the guards that hold it there."""

from switchyard.routing.carrying import rejected
from switchyard.routing.decisions import decide
from switchyard.routing.errors import (
    CrossOwnerTransactionError,
    EarlyOnCommitError,
    RoutingError,
    StaleSaveError,
    violations,
)
from switchyard.routing.explain import Explanation, explain_route
from switchyard.routing.known_tables import app_labels, app_of
from switchyard.routing.middleware import RoutingMiddleware
from switchyard.routing.overrides import allow_writes, use_primary, use_replica, without_stickiness
from switchyard.routing.owners import owner_of, owner_of_app, replicas_of, replicated_by, replication_set
from switchyard.routing.read_only import read_only
from switchyard.routing.routers import AppRouter, PrimaryReplicaRouter
from switchyard.routing.rules import RULES
from switchyard.routing.servers import Replica, ReplicationSet, set_of
from switchyard.routing.statements import Statement, classify, text_of
from switchyard.routing.tally import Decision
from switchyard.routing.transactions import allow_cross_owner_writes
from switchyard.routing.writes import read, wrote

__all__ = [
    "RULES",
    "AppRouter",
    "CrossOwnerTransactionError",
    "Decision",
    "EarlyOnCommitError",
    "Explanation",
    "PrimaryReplicaRouter",
    "Replica",
    "ReplicationSet",
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
    "explain_route",
    "owner_of",
    "owner_of_app",
    "read",
    "read_only",
    "rejected",
    "replicas_of",
    "replicated_by",
    "replication_set",
    "set_of",
    "text_of",
    "use_primary",
    "use_replica",
    "violations",
    "without_stickiness",
    "wrote",
]
