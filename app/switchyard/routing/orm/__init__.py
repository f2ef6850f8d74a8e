"""Mistakes of the ORM that no connection sees: stale saves, and deletions that reach the rows of another owner."""
