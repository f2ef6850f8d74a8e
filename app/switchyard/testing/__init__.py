"""For the tests of those who use the package; imported by tests only."""

from switchyard.testing.lag_control import ReplicaLag, replica_lag
from switchyard.testing.mirrors import shared_mirrors
from switchyard.testing.assertions import assert_queries
from switchyard.testing.runner import DiscoverRunner

__all__ = ["DiscoverRunner", "ReplicaLag", "assert_queries", "replica_lag", "shared_mirrors"]
