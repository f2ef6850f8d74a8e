"""Migrations per alias: an alias runs and records the migrations of its own apps, and no other migrations.

Import users' names from here. The management commands import the rest from the modules, whose names begin with `_`:
Django takes each public module in an app's `migrations` package for a migration.
"""

from switchyard.migrations._progress import in_batches
from switchyard.migrations._status import migrating, pending

__all__ = ["in_batches", "migrating", "pending"]
