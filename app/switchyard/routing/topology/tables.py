"""Which models a table's name stands for: what lets a statement be judged by its text."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.signals import setting_changed
from django.db.models import Model
from django.utils.module_loading import import_string

from switchyard.conf import conf
from switchyard.routing.topology.ownership import owner_of
from switchyard.sql.classifier import Statement

OTHER = "other"


@cache
def models_by_table() -> Mapping[str, Mapping[str, type[Model]]]:
    """Return table (lower case, without schema) -> owner -> a model whose rows it holds there."""
    tables: dict[str, dict[str, type[Model]]] = {}
    for model in apps.get_models(include_auto_created=True):
        if not model._meta.proxy and has_owner(model._meta.app_label):
            name = model._meta.db_table.rpartition(".")[2].strip('"`[]').lower()
            tables.setdefault(name, {}).setdefault(owner_of(model), model)
    return tables


@cache
def cache_tables() -> frozenset[str]:
    """Return the tables (lower case) of Django's database caches, which have no models."""
    backends = [(import_string(options["BACKEND"]), options) for options in settings.CACHES.values()]
    return frozenset(
        str(options["LOCATION"]).lower() for backend, options in backends if issubclass(backend, BaseDatabaseCache)
    )


def has_owner(app_label: str) -> bool:
    """Tell whether OWNERS names the app."""
    return app_label in conf.owners or "*" in conf.owners


def app_of(statement: Statement) -> str:
    """Return the label of the app that owns the statement's first known table, else `other`."""
    tables = models_by_table()
    known = (tables[table] for table in statement.tables if table in tables)
    return next((model._meta.app_label for models in known for model in models.values()), OTHER)


def app_labels() -> tuple[str, ...]:
    """Return all that `app_of` can return: the owned apps that have tables, and `other`."""
    labels = {model._meta.app_label for models in models_by_table().values() for model in models.values()}
    return (*sorted(labels), OTHER)


def _forget(*, setting: str, **_kwargs: Any) -> None:
    if setting in {"SWITCHYARD", "INSTALLED_APPS"}:
        models_by_table.cache_clear()
    if setting == "CACHES":
        cache_tables.cache_clear()


setting_changed.connect(_forget, dispatch_uid="switchyard.routing.topology.tables")
