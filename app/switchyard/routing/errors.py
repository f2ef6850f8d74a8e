"""The exceptions that routing raises. `message` of a class is its text, with the values to fill in.

A `RoutingError` is a mistake of the program and no DatabaseError, so that nothing retries it or takes it for a failure
of a database. `StaleSaveError` alone is a DatabaseError as well: the data decides, and not the program.
`OwnerUnavailableError` is a failure of a server, and an OperationalError.
"""

from collections.abc import Mapping
from typing import ClassVar

from django.db import DatabaseError, OperationalError
from django.dispatch import Signal

# Sent with `kind`, `alias` and `error` for each refused statement and each logged mistake, for telemetry.
violations = Signal()


class RoutingError(Exception):
    """Refuse an operation on an alias; a subclass says which operation, and what to do.

    `summary` says in one sentence what happened, without values of rows.
    """

    kind: ClassVar[str] = "violation"
    message: ClassVar[str] = "An operation was refused on '{alias}'."
    summary_message: ClassVar[str] = ""  # by default the first sentence of the message

    def __init__(self, *, alias: str, **values: str) -> None:
        self.alias = alias
        template = self.summary_message or self.message.partition(". ")[0].removesuffix(".") + "."
        self.summary = template.format(alias=alias, **values)
        super().__init__(self.message.format(alias=alias, **values))


class ReplicaWriteError(RoutingError):
    """Refuse a write or DDL statement on a replica."""

    kind = "replica_write"
    message = (
        "A {operation} was refused on '{alias}', a replica of '{replicated}': {sql}. "
        "Run it on '{owner}': leave out `using`, or name the owner. If a package took '{alias}' from a read "
        "(`queryset.db`, `manager.db`), add {app} to SWITCHYARD['PRIMARY_ONLY'], or set {app} to 'redirect' in "
        "SWITCHYARD['POLICIES']['replica_write']."
    )


class ReplicaLockError(RoutingError):
    """Refuse a locking read on a replica, where no row can be locked."""

    kind = "replica_write"
    message = (
        "A locking read was refused on '{alias}', a replica of '{replicated}', where no row can be locked: {sql}. "
        "Lock the row on '{owner}', in a transaction there: `with atomic(\"{owner}\"): "
        "...select_for_update().using(\"{owner}\")`. If a package took '{alias}' from a read "
        "(`atomic(using=queryset.db)`), add {app} to SWITCHYARD['PRIMARY_ONLY']."
    )


class LockOutsideTransactionError(RoutingError):
    """Refuse a lock on the owner while the transaction of the program is open on a replica."""

    kind = "replica_write"
    message = (
        "select_for_update() of {model} was refused: its rows are locked on '{owner}', and a transaction is open only "
        "on '{alias}', a replica of '{owner}'. Open it on '{owner}': `with atomic(using=\"{owner}\")`. If a package "
        "took '{alias}' from a read (`atomic(using=queryset.db)`), add '{app}' to SWITCHYARD['PRIMARY_ONLY']."
    )


class ReadOnlyOwnerWriteError(RoutingError):
    """Refuse a write on an owner that SWITCHYARD['READ_ONLY'] names."""

    kind = "read_only_owner_write"
    message = (
        "A {operation} was refused on '{alias}', which SWITCHYARD['READ_ONLY'] names: {sql}. "
        "Outside a request, wrap it in `allow_writes(\"{alias}\", reason=...)`; to allow all writes, remove '{alias}' "
        "from READ_ONLY."
    )


class ReadOnlyTransactionError(RoutingError):
    """Refuse a write inside `allow_writes()` in a transaction that began before the block."""

    kind = "read_only_owner_write"
    message = (
        "A write was refused on '{alias}' inside allow_writes(): the transaction began before the block, and its "
        'server holds it read-only: {sql}. Open `allow_writes("{alias}", reason=...)` before the transaction.'
    )


class AccessModeError(RoutingError):
    """Refuse a text that could make a read-only session writable."""

    kind = "access_mode"
    message = (
        "A {operation} was refused on '{alias}', whose sessions the server holds read-only: {sql}. "
        "Send one statement at a time, and leave the access mode to Switchyard; "
        "`allow_writes()` changes it on an owner of SWITCHYARD['READ_ONLY']."
    )


class ReadOnlyBlockWriteError(RoutingError):
    """Refuse a write or a locking read inside `read_only()`."""

    kind = "read_only_block_write"
    message = (
        "A {operation} was refused on '{alias}' inside read_only(), which allows no writes: {sql}. "
        "Run it before the block or after it."
    )


class AllowWritesError(RoutingError):
    """Refuse `allow_writes()` inside a request."""

    kind = "read_only_owner_write"
    message = (
        '`allow_writes("{alias}", reason="{reason}")` was refused inside a request: '
        "no request may write on an owner of SWITCHYARD['READ_ONLY']. "
        "Write in a management command or a task, or remove '{alias}' from READ_ONLY."
    )
    summary_message = "allow_writes() was refused on '{alias}' inside a request."


class MisplacedWriteError(RoutingError):
    """Refuse a write of a model's rows on an alias that is not their owner."""

    kind = "misplaced_write"
    message = (
        "A write of {model} was refused on '{alias}': its rows are written to '{owner}'. "
        "Use `using(\"{owner}\")`, or leave out `using`. If '{alias}' has a table of the same name, declare an "
        "unmanaged model for it in an app that SWITCHYARD['OWNERS'] gives to '{alias}'."
    )


class CrossOwnerQueryError(RoutingError):
    """Refuse a statement that names tables of two owners."""

    kind = "cross_owner_query"
    message = (
        "One statement on '{alias}' names {model}, owned by '{owner}', and {other}, owned by '{other_owner}'. "
        "No join, subquery or union works across databases. Get the keys from '{other_owner}' and filter by them "
        "with `switchyard.crossdb.CrossDatabaseIn`, or use `prefetch_related`, which reads each side on its own alias."
    )


class CrossOwnerCascadeError(RoutingError):
    """Refuse a deletion that cascades to rows of another owner."""

    kind = "cross_owner_cascade"
    message = (
        "Deleting {model} on '{alias}' was refused: by {relation} it reaches {other}, owned by '{other_owner}'. "
        "No cascade works across databases. Make {relation} a CrossDatabaseForeignKey of switchyard.crossdb, or set "
        "`on_delete=DO_NOTHING` and delete the rows of {other} on '{other_owner}' separately."
    )


class StaleSaveError(RoutingError, DatabaseError):
    """Refuse a save that overwrites newer values with those of a replica.

    It is a DatabaseError, like the error of a `save(force_update=True)` that finds no row: what others wrote decides at
    run time, so a program without a mistake may get it, and a handler of database errors may load the row again.
    """

    kind = "stale_save"
    message = (
        "save() of {model} {pk} would undo what others wrote on '{alias}' since a replica's copy was made: {change}. "
        'Load it anew, `refresh_from_db(using="{alias}")`, or write what you changed alone, '
        "`save(update_fields=[...])`."
    )
    summary_message = (
        "save() of {model} would undo what others wrote on '{alias}' since a replica's copy of the row was made."
    )


class EarlyOnCommitError(RoutingError):
    """Refuse an `on_commit()` callback that would run at once, because its alias has no open transaction."""

    kind = "early_on_commit"
    message = (
        "on_commit() on '{alias}' runs at once: no transaction is open there, but a transaction is open on '{other}'. "
        'Name the alias whose commit you mean, `on_commit(..., using="{other}")`, or open a transaction on '
        "'{alias}'."
    )


class CrossOwnerTransactionError(RoutingError):
    """Refuse a write inside another owner's open transaction."""

    kind = "cross_owner_transaction"
    message = (
        "A write on '{alias}' inside a transaction in which {others} was written: a rollback of one owner keeps the "
        "rows of the other. Write to one owner after the other, each in a transaction of its own; if you accept the "
        "risk, wrap the second write in `allow_cross_owner_writes(reason=...)`."
    )


class OwnerUnavailableError(OperationalError):
    """Refuse an owner whose server is down, or must not be written now. `reason` is a key of `WHY`."""

    message: ClassVar[str] = "'{alias}' cannot be used: {why}."
    WHY: ClassVar[Mapping[str, str]] = {
        "down": "its server does not answer. Try again in a moment; reads that may be stale continue on its replicas",
        "busy": "its server answers late, and half of the threads of this process wait for it. Try again in a moment",
        "standby": "its address leads to a standby, which takes no writes. Reads continue",
        "read_only": "its server is read-only. Reads continue",
        "superseded": "its server is an old primary and another server has taken over, so writes would be lost",
    }

    def __init__(self, *, alias: str, reason: str) -> None:
        self.alias = alias
        self.reason = reason
        super().__init__(self.message.format(alias=alias, why=self.WHY[reason]))


def first_line(error: Exception) -> str:
    """Return the first line of the error's text. Further lines of a driver hold the statement, or other addresses."""
    return str(error).strip().partition("\n")[0]


def record_violation(error: RoutingError) -> RoutingError:
    """Count the error as a violation, and return it for the caller to raise."""
    violations.send(sender=type(error), kind=error.kind, alias=error.alias, error=error)
    return error
