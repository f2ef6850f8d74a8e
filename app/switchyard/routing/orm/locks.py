"""Refuse select_for_update() in a transaction on a replica, if the owner has none: the rows are locked on the owner.

Packages open the transaction with the alias of a read, `atomic(using=queryset.db)`. Django then raises an error when it
builds the SQL, which names no alias and no remedy. That SQL never reaches the guard, so the documented method that
begins each such query is replaced. It does not know a `using()` that comes after it.
"""

from typing import Any

from django.db import connections
from django.db.models import Model, QuerySet

from switchyard.routing.connection_state import has_open_transaction, program_transaction_on
from switchyard.routing.errors import LockOutsideTransactionError, record_violation
from switchyard.routing.topology.ownership import app_of_rows, owner_of, replicas_of
from switchyard.routing.topology.tables import has_owner

_select_for_update: Any = QuerySet.select_for_update


def install() -> None:
    """Check each call of `select_for_update()`."""
    QuerySet.select_for_update = _checked_select_for_update  # type: ignore[method-assign]


def _checked_select_for_update(self: Any, *arguments: Any, **options: Any) -> Any:
    if self._db is None:  # otherwise the guard checks the statement on the alias that the program names
        _check(self.model)
    return _select_for_update(self, *arguments, **options)


def _check(model: type[Model]) -> None:
    app = app_of_rows(model)
    owner = owner_of(model) if has_owner(app) else ""
    replica = next((alias for alias in replicas_of(owner) if program_transaction_on(alias)), None)
    if replica is None or has_open_transaction(connections[owner]):
        return
    if connections[owner].features.has_select_for_update:
        error = LockOutsideTransactionError(alias=replica, owner=owner, model=model._meta.label, app=app)
        raise record_violation(error)
