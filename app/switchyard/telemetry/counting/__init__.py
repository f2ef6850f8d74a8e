"""Where the events are that the counters count: calls, connections, transactions, decisions, violations."""
