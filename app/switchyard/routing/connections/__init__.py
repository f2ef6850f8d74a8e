"""The hooks on Django's connections: opening, cursors, guard, failover and transactions. No routing decision."""
