"""The worker that brings deletions of parents to their children on another database."""
