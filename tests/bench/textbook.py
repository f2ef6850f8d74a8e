"""The routers of Django's guide, from its example, for the aliases of this project.

https://docs.djangoproject.com/en/6.1/topics/db/multi-db/#an-example: one router for the apps of each other database,
and a last router that reads from a random replica. `LegacyRouter` is another copy of the guide's `AuthRouter`.
"""

import random
from typing import Any

from django.conf import settings
from django.db.models import Model

REPLICAS = [alias for alias in settings.DATABASES if alias.startswith("replica")]


class AnalyticsRouter:
    """All operations of its apps go to one database, and no others."""

    route_app_labels = frozenset({"analytics", "reporting"})
    alias = "analytics"

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        if model._meta.app_label in self.route_app_labels:
            return self.alias
        return None

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        if model._meta.app_label in self.route_app_labels:
            return self.alias
        return None

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool | None:
        if first._meta.app_label in self.route_app_labels or second._meta.app_label in self.route_app_labels:
            return True
        return None

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:
        if app_label in self.route_app_labels:
            return db == self.alias
        return None


class LegacyRouter(AnalyticsRouter):
    route_app_labels = frozenset({"legacy"})
    alias = "legacy"


class PrimaryReplicaRouter:
    """Reads go to a random replica, writes to the primary."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return random.choice(REPLICAS)

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return "default"

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool | None:
        db_set = {"default", *REPLICAS}
        if first._state.db in db_set and second._state.db in db_set:
            return True
        return None

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool:
        return True
