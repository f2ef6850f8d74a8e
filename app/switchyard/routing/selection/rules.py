"""The rules of a read's way, one by one: to look at, to explain and to test by.

`decide()` in decisions.py is the same in one pass. Nothing here changes what a request owes.
"""

from collections.abc import Callable
from typing import NamedTuple

from django.db.models import Model

from switchyard.routing.connection_state import alias_in_program_transaction
from switchyard.routing.selection.select import able, replica_for
from switchyard.routing.session.context import State
from switchyard.routing.topology.ownership import app_of_rows, is_primary_only
from switchyard.routing.topology.replication import ReplicationSet


class Read(NamedTuple):
    """A read to decide about."""

    model: type[Model]
    owner: str
    instance: Model | None
    state: State
    group: ReplicationSet


class Rule(NamedTuple):
    """One line of the table: the alias for the reads that the rule is about, None for all others."""

    name: str
    says: str
    alias: Callable[[Read], str | None]


def _no_replica(read: Read) -> str | None:
    return None if read.group.replicas else read.owner


def _primary_only(read: Read) -> str | None:
    return read.owner if is_primary_only(app_of_rows(read.model)) else None


def _override(read: Read) -> str | None:
    if held := read.state.held.get(read.owner):
        return held
    if not read.state.prefers:
        return None
    fit = read.group.fit
    return fit[0].alias if fit and read.state.prefers == "replica" else read.owner


def _loaded_from_owner(read: Read) -> str | None:
    # Never the instance's alias by itself: a child's rows may be owned elsewhere than its parent's.
    return read.owner if read.instance is not None and read.instance._state.db == read.owner else None


def _in_transaction(read: Read) -> str | None:
    return read.owner if alias_in_program_transaction(read.owner) else None


def _unsafe(read: Read) -> str | None:
    return read.owner if read.state.unsafe else None


def _pinned(read: Read) -> str | None:
    return read.owner if read.group.fit and not able(read.group, read.state.ledger) else None


def _replica(read: Read) -> str | None:
    return replica_for(read.group, read.state.ledger)


def _down(read: Read) -> str | None:
    return read.owner


# In order: the first rule with an answer decides.
RULES = (
    Rule("owner", "the owner has no replica", _no_replica),
    Rule("primary_only", "the app's rows must never be stale", _primary_only),
    Rule("override", "inside use_primary(), use_replica() or read_only()", _override),
    Rule("instance", "the instance asked from was loaded from the owner", _loaded_from_owner),
    Rule("in_transaction", "a transaction is open on the owner", _in_transaction),
    Rule("unsafe", "the request may write by what it reads", _unsafe),
    Rule("pinned", "no replica has replayed what this client wrote or saw", _pinned),
    Rule("default", "a fit replica of the owner", _replica),
    Rule("down", "no replica of the owner that this client may read is fit", _down),
)
