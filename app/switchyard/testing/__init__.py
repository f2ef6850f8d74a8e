"""For the tests of those who use the package; imported by tests only."""

from switchyard.testing.queries import assert_queries

__all__ = ["assert_queries"]
