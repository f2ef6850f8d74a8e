"""Tools for the tests of projects that use the package. Import this package in tests only."""

from switchyard.testing.assertions import assert_queries
from switchyard.testing.lag_control import ReplicaLag, replica_lag
from switchyard.testing.mirrors import shared_mirrors
from switchyard.testing.runner import DiscoverRunner

__all__ = ["DiscoverRunner", "ReplicaLag", "assert_queries", "replica_lag", "shared_mirrors"]
