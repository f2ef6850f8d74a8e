"""The hooks on Django's connections: opening, cursors, calls and failover. No routing decision."""
