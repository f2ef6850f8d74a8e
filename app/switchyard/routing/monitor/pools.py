"""Django's pools of connections, when their server is back: what they hold is dead.

A pool finds that out one by one as it hands them out, and waits longer after each: 1 s, 2 s, 4 s.
https://github.com/psycopg/psycopg/blob/3.3.3/psycopg_pool/psycopg_pool/pool.py#L222-L259
"""

from django.db import connections


def reset_pool(alias: str) -> None:
    """Let the alias' pool, if it has one, close what it holds and open it anew. Waits for nothing."""
    pools = getattr(connections[alias], "_connection_pools", {})  # by alias; `connection.pool` would make one
    if alias in pools:
        pools[alias].drain()
