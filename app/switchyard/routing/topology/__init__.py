"""Who owns what: owners, replicas, the tables of each, and what is known about their servers. No I/O, no request."""
