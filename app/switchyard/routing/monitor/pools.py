"""Connection pools of Django after their server returns: the connections in them are lost.

Without a reset, a pool finds each lost connection only when a thread takes it, and reconnects after 1 s, 2 s, 4 s ...
https://github.com/psycopg/psycopg/blob/3.3.3/psycopg_pool/psycopg_pool/pool.py#L222-L259
"""

from django.db import connections


def reset_pool(alias: str) -> None:
    """Let the pool of the alias, if it has one, close its connections and open new ones. Does not wait for them."""
    pools = getattr(connections[alias], "_connection_pools", {})  # by alias; `connection.pool` would create a pool
    if alias in pools:
        pools[alias].drain()
