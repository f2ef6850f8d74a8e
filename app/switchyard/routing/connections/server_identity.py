"""An alias that several servers share, as behind a load balancer: which one a connection leads to, and who may read it.

A decision knows the alias. Where the thread's connection leads is known when it is open, so it is looked at before each
statement that reads; while an alias has shown one server only, that is the look-up of its name among the shared ones.
"""

import time
from contextlib import suppress
from typing import Any

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from switchyard.positions import VENDORS, dialect_for
from switchyard.routing.monitor import sockets
from switchyard.routing.session.consistency import PendingPosition
from switchyard.routing.session.context import current
from switchyard.routing.topology.ownership import replicated_by
from switchyard.routing.topology.replication import replication_set, shared_aliases


def identify(alias: str, vendor: str, connection: Any) -> None:
    """Ask a connection to a replica which server it leads to: once, when it has just been opened."""
    owner = replicated_by(alias)
    if (
        owner is None
        or vendor not in VENDORS
        or replication_set(owner).snapshot.lag_free
        or sockets.server_of(alias, connection)
    ):
        return
    with suppress(Exception):  # a connection that is of no use says so to whoever uses it
        server = _asked(vendor, connection)
        sockets.set_server(alias, connection, server)
        group = replication_set(owner)
        if server not in group.snapshot.by_server and any(
            each.alias == alias for each in group.snapshot.by_server.values()
        ):
            shared_aliases[alias] = time.monotonic()  # before it is read; to be judged by the refresher


def may_be_stale(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether what this client wrote or saw may be missing on the server behind the connection.

    If not, it is the server that the client has read.
    """
    owner, state = replicated_by(connection.alias), current()
    if owner is None or connection.connection is None or state.preference == "replica":
        return False
    server = sockets.server_of(connection.alias, connection.connection)
    group, ledger = replication_set(owner), state.consistency
    replica, owed = group.snapshot.by_server.get(server), ledger.required_position(owner)
    if replica is None or not replica.fit or type(owed) is PendingPosition:
        return True
    if owed is not None and not replica.caught_up_to(owed):
        return True
    return ledger.last_server.setdefault(owner, server) != server


def transaction_may_be_stale(alias: str) -> bool:
    """Open the replica's connection and tell whether it strays: for a transaction, which does not move once begun."""
    connection = connections[alias]
    with suppress(Error):  # who begins the transaction gets it again
        connection.ensure_connection()
    return alias in shared_aliases and may_be_stale(connection)


def _asked(vendor: str, connection: Any) -> str:
    if vendor != "postgresql":
        return _ask(vendor, connection)
    # Else two more round trips, for a transaction. psycopg tells the server nothing of it.
    before, connection.autocommit = connection.autocommit, True
    try:
        return _ask(vendor, connection)
    finally:
        connection.autocommit = before


def _ask(vendor: str, connection: Any) -> str:
    cursor = connection.cursor()
    try:
        return dialect_for(vendor, connection).server_id(cursor)
    finally:
        cursor.close()
