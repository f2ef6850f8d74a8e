"""The two routers: one line each over the tables of owners and rules.

Each is complete alone. Stacked, `PrimaryReplicaRouter` comes first.
"""

from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from switchyard.routing.decisions import decide
from switchyard.routing.owners import owner_of, owner_of_app, replicated_by

# The rules that leave a read to the next router.
_NO_REPLICA = frozenset({"owner", "down"})


class PrimaryReplicaRouter:
    """Send reads to a fit replica of the model's owner, writes to the owner; a replica never migrates."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        alias, rule = decide(model, hints)
        # Without a next router Django takes the instance's alias, which may be the unfit replica, or `default`,
        # which may not be the owner: no opinion only where that comes to the same.
        return None if rule in _NO_REPLICA and _djangos_choice(hints) == alias else alias

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return owner_of(model)

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        return owner_of(type(first)) == owner_of(type(second))

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if replicated_by(db) or owner_of_app(app_label) != db else None


class AppRouter:
    """Send every app to its owner, for reads, writes, relations and migrations."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return owner_of(model)

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return owner_of(model)

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        return owner_of(type(first)) == owner_of(type(second))

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return owner_of_app(app_label) == db and not replicated_by(db)


def _djangos_choice(hints: dict[str, Any]) -> str:
    instance: Model | None = hints.get("instance")
    return (instance is not None and instance._state.db) or DEFAULT_DB_ALIAS
