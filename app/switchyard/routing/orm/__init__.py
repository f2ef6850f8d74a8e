"""Mistakes of the ORM that no connection can see: stale saves, and deletions that reach another owner's rows."""
