"""The routers of Django's guide, as its example has them, for the aliases of this project.

https://docs.djangoproject.com/en/6.1/topics/db/multi-db/#an-example: one router for the apps of each other database,
then one that reads from a replica chosen by chance. `LegacyRouter` is the guide's `AuthRouter` once more.
"""

import random
from typing import Any

from django.conf import settings
from django.db.models import Model

REPLICAS = [alias for alias in settings.DATABASES if alias.startswith("replica")]


class AnalyticsRouter:
    """Everything of its apps goes to one database, and nothing else does."""

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
    """Reads go to a replica chosen by chance, writes to the primary."""

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
