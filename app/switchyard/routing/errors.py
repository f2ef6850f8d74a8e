"""The exceptions that routing raises. `message` of a class is its text, with the values to fill in.

A `RoutingError` is a fault of the program and no DatabaseError, so that nothing retries it. `OwnerUnavailableError` is
a fault of a server, and an OperationalError.
"""

from collections.abc import Mapping
from typing import ClassVar

from django.db import OperationalError
from django.dispatch import Signal

# Sent with `kind` and `alias` for everything refused or warned of, so that it can be counted.
violations = Signal()


class RoutingError(Exception):
    """Refuse an operation on an alias; a subclass says which operation, and what to do."""

    kind: ClassVar[str] = "violation"
    message: ClassVar[str] = "An operation was refused on '{alias}'."

    def __init__(self, *, alias: str, **values: str) -> None:
        self.alias = alias
        super().__init__(self.message.format(alias=alias, **values))


class ReplicaWriteError(RoutingError):
    """Refuse a write or DDL statement on a replica."""

    kind = "replica_write"
    message = (
        "A {operation} was refused on '{alias}', a replica of '{owner}': {sql}. "
        "Run it on '{owner}': leave out `using`, or name the owner."
    )


class ReplicaLockError(RoutingError):
    """Refuse a locking read on a replica, where no row can be locked."""

    kind = "replica_write"
    message = (
        "A locking read was refused on '{alias}', a replica of '{owner}', where a row cannot be locked: {sql}. "
        "Lock it on '{owner}', in a transaction there: `with atomic(\"{owner}\"): "
        '...select_for_update().using("{owner}")`.'
    )


class ReadOnlyOwnerWriteError(RoutingError):
    """Refuse a write on an owner that SWITCHYARD['READ_ONLY'] names."""

    kind = "read_only_owner_write"
    message = (
        "A {operation} was refused on '{alias}', which SWITCHYARD['READ_ONLY'] names: {sql}. "
        "Outside a request, wrap it in `allow_writes(\"{alias}\", reason=...)`; for good, take '{alias}' off READ_ONLY."
    )


class ReadOnlyBlockWriteError(RoutingError):
    """Refuse a write or a locking read inside `read_only()`."""

    kind = "read_only_block_write"
    message = (
        "A {operation} was refused on '{alias}' inside read_only(), which promises that nothing is written: {sql}. "
        "Write it before the block or after it."
    )


class AllowWritesError(RoutingError):
    """Refuse `allow_writes()` inside a request."""

    kind = "read_only_owner_write"
    message = (
        '`allow_writes("{alias}", reason="{reason}")` was refused inside a request: '
        "READ_ONLY holds for every request. "
        "Do it in a management command or a task, or take '{alias}' off SWITCHYARD['READ_ONLY']."
    )


class MisplacedWriteError(RoutingError):
    """Refuse a write of a model's rows on an alias that is not their owner."""

    kind = "misplaced_write"
    message = (
        "A write of {model} was refused on '{alias}': its rows are written to '{owner}'. "
        "Use `using(\"{owner}\")` or none. For a table of the same name on '{alias}', declare an unmanaged model in an "
        "app that SWITCHYARD['OWNERS'] gives to '{alias}'."
    )


class CrossOwnerQueryError(RoutingError):
    """Refuse a statement that names tables of two owners."""

    kind = "cross_owner_query"
    message = (
        "One statement on '{alias}' names {model}, owned by '{owner}', and {other}, owned by '{other_owner}'. "
        "No join, subquery or union reaches across databases. Let '{other_owner}' give the keys and filter by them "
        "with `switchyard.crossdb.rows_by_key`, or use `prefetch_related`, which asks each side on its own alias."
    )


class CrossOwnerCascadeError(RoutingError):
    """Refuse a deletion that cascades to rows of another owner."""

    kind = "cross_owner_cascade"
    message = (
        "Deleting {model} on '{alias}' was refused: by {relation} it reaches {other}, owned by '{other_owner}'. "
        "No cascade reaches across databases. Keep the key of {model} in a plain field, or set "
        "`on_delete=DO_NOTHING`, and delete the rows of {other} on '{other_owner}' by themselves."
    )


class StaleSaveError(RoutingError):
    """Refuse a save that overwrites newer values with those of a replica."""

    kind = "stale_save"
    message = (
        "save() of {model} {pk} would undo what others wrote on '{alias}' since a replica's copy was made: {change}. "
        'Load it anew, `refresh_from_db(using="{alias}")`, or write what you changed alone, '
        "`save(update_fields=[...])`."
    )


class EarlyOnCommitError(RoutingError):
    """Refuse an `on_commit()` callback that would run at once, because its alias has no open transaction."""

    kind = "early_on_commit"
    message = (
        "on_commit() on '{alias}' runs at once: no transaction is open there, but one is on '{other}'. "
        "Name the alias whose commit is meant, `on_commit(..., using=\"{other}\")`, or open a transaction on '{alias}'."
    )


class CrossOwnerTransactionError(RoutingError):
    """Refuse a write inside another owner's open transaction."""

    kind = "cross_owner_transaction"
    message = (
        "A write on '{alias}' inside a transaction in which {others} was written: a rollback of one keeps the other. "
        "Write them one after the other, each in a transaction of its own; where it is meant, wrap the second write "
        "in `allow_cross_owner_writes(reason=...)`."
    )


class OwnerUnavailableError(OperationalError):
    """Refuse an owner whose server is down, or must not be written now."""

    message: ClassVar[str] = "'{alias}' cannot be used: {why}."
    WHY: ClassVar[Mapping[str, str]] = {
        "down": "its server does not answer. Reads that may be late go on where it has a replica",
        "standby": "its address leads to a standby now, which takes no writes. Reads go on",
        "read_only": "its server is read-only now. Reads go on",
        "superseded": "its server is an old one that another has taken over from. Writes there would be lost",
    }

    def __init__(self, *, alias: str, refusal: str) -> None:
        self.alias = alias
        self.refusal = refusal
        super().__init__(self.message.format(alias=alias, why=self.WHY[refusal]))


def record_violation(error: RoutingError) -> RoutingError:
    """Count it and return it, to be raised where it happened."""
    violations.send(sender=type(error), kind=error.kind, alias=error.alias)
    return error
