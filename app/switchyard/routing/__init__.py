"""Which alias a query goes to, and the guards that hold it there."""

from switchyard.routing.owners import owner_of, owner_of_app, replicas_of, replicated_by, replication_set
from switchyard.routing.routers import AppRouter, PrimaryReplicaRouter

__all__ = [
    "AppRouter",
    "PrimaryReplicaRouter",
    "owner_of",
    "owner_of_app",
    "replicas_of",
    "replicated_by",
    "replication_set",
]
