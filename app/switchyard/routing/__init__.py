"""Send each query to the right alias. Import users' names from here; each room below holds one part of the work."""

from switchyard.routing.contrib.middleware import RoutingMiddleware
from switchyard.routing.errors import (
    CrossOwnerTransactionError,
    EarlyOnCommitError,
    RoutingError,
    StaleSaveError,
    violations,
)
from switchyard.routing.guards.transactions import allow_cross_owner_writes
from switchyard.routing.overrides.blocks import allow_writes, only, use_primary, use_replica, without_stickiness
from switchyard.routing.overrides.read_only import read_only
from switchyard.routing.selection.explain import Explanation, explain_route
from switchyard.routing.selection.routers import AppRouter, PrimaryReplicaRouter

__all__ = [
    "AppRouter",
    "CrossOwnerTransactionError",
    "EarlyOnCommitError",
    "Explanation",
    "PrimaryReplicaRouter",
    "RoutingError",
    "RoutingMiddleware",
    "StaleSaveError",
    "allow_cross_owner_writes",
    "allow_writes",
    "explain_route",
    "only",
    "read_only",
    "use_primary",
    "use_replica",
    "violations",
    "without_stickiness",
]
