"""The public name of what is pending. A package, because Django takes a public module here for a migration."""

from switchyard.migrations._status import migrating, pending

__all__ = ["migrating", "pending"]
