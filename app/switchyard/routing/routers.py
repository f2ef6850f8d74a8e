"""The two routers: one line each over the table of owners."""

from typing import Any

from django.db.models import Model

from switchyard.routing.owners import owner_of, owner_of_app, replicas_of, replicated_by


class PrimaryReplicaRouter:
    """Send reads to a fit replica of the model's owner; leave what has none to the next router."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return next(iter(replicas_of(owner_of(model))), None)

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return owner_of(model)

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool | None:
        return True if owner_of(type(first)) == owner_of(type(second)) else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if replicated_by(db) else None


class AppRouter:
    """Send every app to its owner, for reads, writes, relations and migrations."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return owner_of(model)

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return owner_of(model)

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        return owner_of(type(first)) == owner_of(type(second))

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return owner_of_app(app_label) == db
