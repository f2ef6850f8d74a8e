"""What is refused, as exceptions. A class's docstring is its message, with the values to fill in.

They are errors of a program, not of a database: none is a DatabaseError, so that nothing retries them. But for
`OwnerUnavailableError`, which is one.
"""

from collections.abc import Mapping
from typing import ClassVar

from django.db import OperationalError
from django.dispatch import Signal

# Sent with `kind` and `alias` for everything refused or warned of, so that it can be counted.
violations = Signal()


class RoutingError(Exception):
    """Something was refused on '{alias}'."""

    kind: ClassVar[str] = "violation"

    def __init__(self, *, alias: str, **values: str) -> None:
        self.alias = alias
        super().__init__(" ".join((type(self).__doc__ or "").split()).format(alias=alias, **values))


class ReplicaWriteError(RoutingError):
    """A {operation} was refused on '{alias}', a replica of '{owner}': {sql}.

    Run it on '{owner}': leave out `using`, or name the owner.
    """

    kind = "replica_write"


class ReplicaLockError(RoutingError):
    """A locking read was refused on '{alias}', a replica of '{owner}', where a row cannot be locked: {sql}.

    Lock it on '{owner}', in a transaction there: `with atomic("{owner}"): ...select_for_update().using("{owner}")`.
    """

    kind = "replica_write"


class ReadOnlyOwnerWriteError(RoutingError):
    """A {operation} was refused on '{alias}', which SWITCHYARD['READ_ONLY'] names: {sql}.

    Outside a request, wrap it in `allow_writes("{alias}", reason=...)`; for good, take '{alias}' off READ_ONLY.
    """

    kind = "read_only_owner_write"


class ReadOnlyBlockWriteError(RoutingError):
    """A {operation} was refused on '{alias}' inside read_only(), which promises that nothing is written: {sql}.

    Write it before the block or after it.
    """

    kind = "read_only_block_write"


class AllowWritesError(RoutingError):
    """`allow_writes("{alias}", reason="{reason}")` was refused inside a request: READ_ONLY holds for every request.

    Do it in a management command or a task, or take '{alias}' off SWITCHYARD['READ_ONLY'].
    """

    kind = "read_only_owner_write"


class MisplacedWriteError(RoutingError):
    """A write of {model} was refused on '{alias}': its rows are written to '{owner}'.

    Use `using("{owner}")` or none. For a table of the same name on '{alias}', declare an unmanaged model in an app
    that SWITCHYARD['OWNERS'] gives to '{alias}'.
    """

    kind = "misplaced_write"


class CrossOwnerQueryError(RoutingError):
    """One statement on '{alias}' names {model}, owned by '{owner}', and {other}, owned by '{other_owner}'.

    No join, subquery or union reaches across databases. Let '{other_owner}' give the keys and filter by them with
    `switchyard.crossdb.rows_by_key`, or use `prefetch_related`, which asks each side on its own alias.
    """

    kind = "cross_owner_query"


class CrossOwnerCascadeError(RoutingError):
    """Deleting {model} on '{alias}' was refused: by {relation} it reaches {other}, owned by '{other_owner}'.

    No cascade reaches across databases. Keep the key of {model} in a plain field, or set `on_delete=DO_NOTHING`, and
    delete the rows of {other} on '{other_owner}' by themselves.
    """

    kind = "cross_owner_cascade"


class StaleSaveError(RoutingError):
    """save() of {model} {pk} would undo what others wrote on '{alias}' since a replica's copy was made: {change}.

    Load it anew, `refresh_from_db(using="{alias}")`, or write what you changed alone, `save(update_fields=[...])`.
    """

    kind = "stale_save"


class EarlyOnCommitError(RoutingError):
    """on_commit() on '{alias}' runs at once: no transaction is open there, but one is on '{other}'.

    Name the alias whose commit is meant, `on_commit(..., using="{other}")`, or open a transaction on '{alias}'.
    """

    kind = "early_on_commit"


class CrossOwnerTransactionError(RoutingError):
    """A write on '{alias}' inside a transaction in which {others} was written: a rollback of one keeps the other.

    Write them one after the other, each in a transaction of its own; where it is meant, wrap the second write in
    `allow_cross_owner_writes(reason=...)`.
    """

    kind = "cross_owner_transaction"


class OwnerUnavailableError(OperationalError):
    """'{alias}' cannot be used: {why}."""

    WHY: ClassVar[Mapping[str, str]] = {
        "down": "its server does not answer. Reads that may be late go on where it has a replica",
        "standby": "its address leads to a standby now, which takes no writes. Reads go on",
        "read_only": "its server is read-only now. Reads go on",
        "superseded": "its server is an old one that another has taken over from. Writes there would be lost",
    }

    def __init__(self, *, alias: str, refusal: str) -> None:
        self.alias = alias
        self.refusal = refusal
        super().__init__((type(self).__doc__ or "").format(alias=alias, why=self.WHY[refusal]))


def record_violation(error: RoutingError) -> RoutingError:
    """Count it and return it, to be raised where it happened."""
    violations.send(sender=type(error), kind=error.kind, alias=error.alias)
    return error
