"""Reads of an owner in a replica's place: if the owner fails, they wait shortly for a replica that has caught up.

A replica replays the last writes of an owner within moments, also after the owner is gone, as in a switchover.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from math import inf
from typing import Any

from django.db import Error, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from switchyard.routing.connections.failover import (
    FailedCursor,
    is_redirectable,
    is_server_error,
    retry_elsewhere,
    substitute,
)
from switchyard.routing.connections.server_identity import may_be_stale
from switchyard.routing.errors import OwnerUnavailableError
from switchyard.routing.guards.guard import unavailable_error
from switchyard.routing.monitor.waits import Wait, is_within_share, leaves_a_thread, waits_for
from switchyard.routing.selection.select import replica_for_client
from switchyard.routing.session.context import activate, current
from switchyard.routing.session.tracking import is_fallback_read
from switchyard.routing.topology.ownership import replicas_of
from switchyard.routing.topology.replication import replication_set, shared_aliases

CATCH_UP_SECONDS = 1.0  # several probes
# With several servers behind the replicas' aliases, after the owner's server began to shut down: it sends the last of
# its log when it ends, and another server is promoted after that.
SHUTDOWN_SECONDS = 8.0
# Beyond half of the threads: until the monitor has asked each replica once more.
SHORT_WAIT_SECONDS = 0.4
# So long after a wait that was in vain, threads beyond the half do not wait.
CALM_SECONDS = 5.0
_CHECK_INTERVAL_SECONDS = 0.05

_waited_in_vain_at: dict[str, float] = {}  # owner -> time.monotonic()


def run_elsewhere(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run the statement, and a read elsewhere if its server fails (an execute wrapper)."""
    run = run_fallback_read if is_fallback_read(context["connection"].alias) else retry_elsewhere
    return run(execute, sql, params, many, context)


def run_fallback_read(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run the statement on the owner; if the owner fails, run a read on a replica as soon as one has caught up.

    If the owner is back sooner, the read runs there. Raises the error of the owner for another statement, and if
    neither serves in time.
    """
    connection, cursor = context["connection"], context["cursor"]
    owner: str = connection.alias
    tried: frozenset[str] = getattr(cursor.cursor, "tried", frozenset())
    error: Error | None = unavailable_error(owner, changes=False)  # the guard leaves it to this function
    if many or owner in tried or not is_redirectable(connection, sql):
        if error is not None:
            raise error
        return execute(sql, params, many, context)
    consistency = current().consistency
    if error is None:
        try:
            return execute(sql, params, many, context)
        except Error as raised:
            consistency.end_fallback_read(owner, shown=False)
            if not _owner_failed(connection, cursor, raised):
                raise
            error = raised
            with suppress(Error):  # a broken connection may raise while it closes
                connection.close()
    else:
        consistency.end_fallback_read(owner, shown=False)
    # Nobody knows whether a write that failed is there. The client gets the rows that it surely has, and no error.
    surely = consistency.without_uncertain(owner)
    with nullcontext() if surely is None else activate(current().derive(consistency=surely)):
        if (alias := _alias_that_serves(owner)) is None:
            raise error
        if alias != owner:
            substitute(connection, cursor, alias, replica=alias, tried=tried | {owner})
            return CursorWrapper.execute(cursor, sql, params)
    consistency.begin_fallback_read(owner)
    substitute(connection, cursor, owner, replica=owner, tried=tried | {owner})
    return CursorWrapper.execute(cursor, sql, params)


def _owner_failed(connection: BaseDatabaseWrapper, cursor: CursorWrapper, error: Error) -> bool:
    failed = isinstance(cursor.cursor, FailedCursor) or isinstance(error, OwnerUnavailableError)
    return failed or is_server_error(error, connection)


def _alias_that_serves(owner: str) -> str | None:
    """Wait until this client may read a replica, or the owner is back; return the alias, None if neither is in time.

    At most half of the threads wait for long, as for an owner that answers late, and all but one during its shutdown.
    """
    consistency = current().consistency
    began_at, others = time.monotonic(), len(waits_for(owner).running)
    ends_at = began_at
    with Wait(owner):
        while True:
            now, ends_at = time.monotonic(), max(ends_at, _ends_at(owner, began_at, others))
            replica = replica_for_client(owner, consistency)
            if replica is not None and _serves(connections[replica]):
                if len(replicas_of(owner)) > 1:
                    consistency.last_replica.setdefault(owner, replica)
                return replica
            if unavailable_error(owner, changes=False) is None and _opens(connections[owner]):
                return owner
            if now >= ends_at:
                if ends_at > began_at:
                    _waited_in_vain_at[owner] = now
                return None
            time.sleep(_CHECK_INTERVAL_SECONDS)


def _ends_at(owner: str, began_at: float, others: int) -> float:
    """Return the `time.monotonic()` at which a wait ends that began while so many others waited for the owner.

    A wait that ends at `began_at` looks once.
    """
    shutdown = replication_set(owner).snapshot.shutdown
    if shutdown is not None and _has_other_servers(owner) and leaves_a_thread(others):
        return max(began_at + CATCH_UP_SECONDS, shutdown.began_at + SHUTDOWN_SECONDS)
    if is_within_share(others):
        return began_at + CATCH_UP_SECONDS
    is_calm = began_at - _waited_in_vain_at.get(owner, -inf) < CALM_SECONDS
    return began_at if is_calm else began_at + SHORT_WAIT_SECONDS


def _has_other_servers(owner: str) -> bool:
    """Return True if more than one server replays the owner: then one is left when another is promoted."""
    replicas = replicas_of(owner)
    return len(replicas) > 1 or not shared_aliases.keys().isdisjoint(replicas)


def _opens(connection: BaseDatabaseWrapper) -> bool:
    try:
        connection.ensure_connection()
    except (OperationalError, InterfaceError):
        return False
    return True


def _serves(replica: BaseDatabaseWrapper) -> bool:
    """Return True if the replica's connection is open, and its server has what the client must see."""
    if not _opens(replica):
        return False
    if replica.alias in shared_aliases and may_be_stale(replica):
        with suppress(Error):
            replica.close()  # the next connection may lead to another server
        return False
    return True
