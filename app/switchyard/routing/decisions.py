"""Where a read goes, and by which rule. No I/O: what costs I/O is refreshed beside the decision, in replicas.py."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import Model

from switchyard.routing.owners import app_of_rows, is_primary_only, owner_of, replicas_of
from switchyard.routing.replicas import is_fit
from switchyard.routing.state import reads_primary


class Read(NamedTuple):
    """A read to decide about."""

    model: type[Model]
    owner: str
    instance: Model | None


class Decision(NamedTuple):
    """The alias of a read and the name of the rule that chose it."""

    alias: str
    rule: str


class Rule(NamedTuple):
    """One line of the table: the alias for the reads that the rule is about, None for all others."""

    name: str
    says: str
    alias: Callable[[Read], str | None]


def in_transaction(owner: str) -> bool:
    """Tell whether this thread has a transaction open on the owner that is the program's own, not a TestCase's."""
    connection = connections[owner]
    if connection.in_atomic_block:
        # As Django tells them apart itself, for durable blocks.
        return not all(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)
    # `get_autocommit()` would open the connection; before it is open `autocommit` says nothing.
    return connection.connection is not None and not connection.autocommit


def _loaded_from_owner(read: Read) -> str | None:
    # Never the instance's alias by itself: a child's rows may be owned elsewhere than its parent's.
    return read.owner if read.instance is not None and read.instance._state.db == read.owner else None


def _in_transaction(read: Read) -> str | None:
    return read.owner if in_transaction(read.owner) else None


def _override(read: Read) -> str | None:
    return read.owner if reads_primary() else None


def _primary_only(read: Read) -> str | None:
    return read.owner if is_primary_only(app_of_rows(read.model)) else None


def _no_replica(read: Read) -> str | None:
    return None if replicas_of(read.owner) else read.owner


def _fit_replica(read: Read) -> str | None:
    return next(filter(is_fit, replicas_of(read.owner)), None)


def _down(read: Read) -> str | None:
    return read.owner


# In order: the first rule with an answer decides.
RULES = (
    Rule("owner", "the owner has no replica", _no_replica),
    Rule("primary_only", "the app's rows must never be stale", _primary_only),
    Rule("override", "inside use_primary()", _override),
    Rule("instance", "the instance asked from was loaded from the owner", _loaded_from_owner),
    Rule("in_transaction", "a transaction is open on the owner", _in_transaction),
    Rule("replica", "the first fit replica of the owner", _fit_replica),
    Rule("down", "no replica of the owner is fit", _down),
)


def decide(model: type[Model], hints: dict[str, Any] | None = None) -> Decision:
    """Decide where a read of the model goes."""
    read = Read(model, owner_of(model), hints.get("instance") if hints else None)
    return next(Decision(alias, rule.name) for rule in RULES if (alias := rule.alias(read)) is not None)
