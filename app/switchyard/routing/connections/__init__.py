"""Where Django's connections are hooked: opening, cursors, guards, failover and transactions."""
