"""The servers behind a shared alias, such as a load balancer: which server a connection leads to, and who may read it.

A decision knows only the alias. The server is known once the connection is open, so it is checked before each statement
that reads. While an alias has shown one server only, this check is one look-up in `shared_aliases`.
"""

import time
from contextlib import suppress
from typing import Any

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from switchyard.positions import VENDORS, dialect_for
from switchyard.routing.monitor import sockets
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition
from switchyard.routing.session.context import current
from switchyard.routing.topology.direct import has_shared_session
from switchyard.routing.topology.ownership import replicated_by
from switchyard.routing.topology.replication import Replica, Snapshot, replication_set, shared_aliases


def identify(alias: str, vendor: str, connection: Any) -> None:
    """Ask a new driver connection to a replica which server it leads to: one query, once for each connection.

    A pooler is not asked, because its next transaction may lead to another server.
    """
    owner = replicated_by(alias)
    if (
        owner is None
        or vendor not in VENDORS
        or has_shared_session(connections.settings[alias])
        or replication_set(owner).snapshot.lag_free
        or sockets.server_of(alias, connection)
    ):
        return
    with suppress(Exception):  # the first query on a broken connection raises the same error
        server = _query_outside_transaction(vendor, connection)
        sockets.set_server(alias, connection, server)
        group = replication_set(owner)
        if server not in group.snapshot.by_server and any(
            each.alias == alias for each in group.snapshot.by_server.values()
        ):
            shared_aliases[alias] = time.monotonic()  # before its first read; the monitor unmarks the alias later


def may_be_stale(connection: BaseDatabaseWrapper) -> bool:
    """Return True if the server behind the connection to a shared alias may lack rows that this client wrote or read.

    Otherwise record the server as the last server of this client. No query. A pooler may lead each transaction to
    another server of the alias, so nothing is known about the server behind its connections. Inside `use_replica()`
    any server does that is not known to be unfit.
    """
    owner, context = replicated_by(connection.alias), current()
    if owner is None or connection.connection is None:
        return False
    if has_shared_session(connection.settings_dict):
        return context.preference != "replica"
    snapshot, server = replication_set(owner).snapshot, server_behind(connection)
    replica = snapshot.by_server.get(server)
    if context.preference == "replica":
        return replica is not None and not replica.fit
    return replica is None or not _has_all_for(context.consistency, owner, server, replica, snapshot)


def _has_all_for(consistency: ConsistencyState, owner: str, server: str, replica: Replica, snapshot: Snapshot) -> bool:
    """Return True if the server has all that the client wrote or read, and record it as the client's last server."""
    required = consistency.required_position(owner)
    if type(required) is PendingPosition:
        return False
    last = consistency.last_server.get(owner)
    if not replica.fit:
        # A server that is promoted while the owner is away has all rows that this client has read there.
        return _is_promoted(replica, snapshot) and last == server
    if required is not None and not replica.caught_up_to(required):
        return False
    if last is not None and last != server and not _has_all_of(replica, snapshot.by_server.get(last), snapshot):
        return False
    consistency.last_server[owner] = server
    return True


def _is_promoted(replica: Replica, snapshot: Snapshot) -> bool:
    """Return True if the server was promoted and does not serve as the owner yet."""
    return replica.unfit_reason == "promoted" and bool(snapshot.unavailable_reason)


def _has_all_of(replica: Replica, last: Replica | None, snapshot: Snapshot) -> bool:
    """Return True if the replica's server has all that the promoted server `last` showed as a standby."""
    return (
        last is not None
        and _is_promoted(last, snapshot)
        and last.position is not None
        and replica.caught_up_to(last.position)
    )


def server_behind(connection: BaseDatabaseWrapper) -> str:
    """Return the server that the connection leads to; empty if it is closed, or if the server is not known."""
    return sockets.server_of(connection.alias, connection.connection) if connection.connection is not None else ""


def is_left_behind(connection: BaseDatabaseWrapper) -> bool:
    """Return True if the connection leads to an unfit server, and other servers behind its alias are fit."""
    owner = replicated_by(connection.alias)
    if owner is None:
        return False
    snapshot = replication_set(owner).snapshot
    known = snapshot.by_server.get(server_behind(connection))
    return known is not None and not known.fit and connection.alias in snapshot.candidates


def transaction_may_be_stale(alias: str) -> bool:
    """Open the connection to the replica and apply `may_be_stale()`: a transaction cannot move after its begin."""
    connection = connections[alias]
    with suppress(Error):  # the transaction raises the same error when it begins
        connection.ensure_connection()
    return alias in shared_aliases and may_be_stale(connection)


def _query_outside_transaction(vendor: str, connection: Any) -> str:
    if vendor != "postgresql":
        return _query_server_id(vendor, connection)
    # Otherwise psycopg begins a transaction: two more round trips. Setting `autocommit` sends nothing to the server.
    before, connection.autocommit = connection.autocommit, True
    try:
        return _query_server_id(vendor, connection)
    finally:
        connection.autocommit = before


def _query_server_id(vendor: str, connection: Any) -> str:
    cursor = connection.cursor()
    try:
        return dialect_for(vendor, connection).server_id(cursor)
    finally:
        cursor.close()
