"""The rules of a read, one function for each rule: the reference for tests of the routing decision."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from django.db import connections
from django.db.models import Model

from switchyard.routing.connection_state import in_program_transaction
from switchyard.routing.selection.select import caught_up_replicas, replica_for_client
from switchyard.routing.session.context import RoutingContext
from switchyard.routing.topology.ownership import app_of_rows, is_primary_only
from switchyard.routing.topology.replication import ReplicationSet


class ReadRequest(NamedTuple):
    """A read whose alias the rules decide."""

    model: type[Model]
    owner: str
    instance: Model | None
    context: RoutingContext
    group: ReplicationSet


def _owner(read: ReadRequest) -> str | None:
    return None if read.group.snapshot.replicas else read.owner


def _primary_only(read: ReadRequest) -> str | None:
    return read.owner if is_primary_only(app_of_rows(read.model)) else None


def _override(read: ReadRequest) -> str | None:
    if alias := read.context.read_only_aliases.get(read.owner):
        return alias
    if not read.context.preference:
        return None
    fit = read.group.snapshot.eligible
    return fit[0].alias if fit and read.context.preference == "replica" else read.owner


def _loaded_from_owner(read: ReadRequest) -> str | None:
    return read.owner if read.instance is not None and read.instance._state.db == read.owner else None


def _in_transaction(read: ReadRequest) -> str | None:
    return read.owner if in_program_transaction(connections[read.owner]) else None


def _unsafe_method(read: ReadRequest) -> str | None:
    return read.owner if read.context.unsafe_method else None


def _pinned(read: ReadRequest) -> str | None:
    has_fit = bool(read.group.snapshot.eligible)
    return read.owner if has_fit and not caught_up_replicas(read.owner, read.context.consistency) else None


def _replica(read: ReadRequest) -> str | None:
    return replica_for_client(read.owner, read.context.consistency)


def _down(read: ReadRequest) -> str | None:
    return read.owner


# In the order of RULES: the first rule with an alias decides.
REFERENCE: Mapping[str, Callable[[ReadRequest], str | None]] = {
    "owner": _owner,
    "primary_only": _primary_only,
    "override": _override,
    "loaded_from_owner": _loaded_from_owner,
    "in_transaction": _in_transaction,
    "unsafe_method": _unsafe_method,
    "pinned": _pinned,
    "replica": _replica,
    "down": _down,
}
