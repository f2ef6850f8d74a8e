"""The triggers that record deletions, by vendor. Templates of SQL only."""
