"""The models and apps behind the names of tables, so that the text of a statement leads to an owner.

Tables are named as `switchyard.sql` names them: lower case, without schema.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.signals import setting_changed
from django.db.models import Model
from django.utils.module_loading import import_string

from switchyard.conf import conf
from switchyard.routing.topology.ownership import owner_of

OTHER = "other"  # the label of statements without a known table
CACHE_APP = "django_cache"  # the label by which Django's database caches ask the routers


@cache
def models_by_table() -> Mapping[str, Mapping[str, type[Model]]]:
    """Return table -> owner -> a model with this table there. Two owners can have tables of the same name."""
    tables: dict[str, dict[str, type[Model]]] = {}
    for model in apps.get_models(include_auto_created=True):
        if not model._meta.proxy and has_owner(model._meta.app_label):
            tables.setdefault(table_of(model), {}).setdefault(owner_of(model), model)
    return tables


@lru_cache(maxsize=1024)  # migrations render thousands of model classes
def table_of(model: type[Model]) -> str:
    """Return the name of the model's table, as a `Statement` names it."""
    return model._meta.db_table.rpartition(".")[2].strip('"`[]').lower()


@cache
def cache_tables() -> Mapping[str, str]:
    """Return table -> alias in CACHES of Django's database caches, which have no models."""
    return {
        str(options["LOCATION"]).lower(): alias
        for alias, options in settings.CACHES.items()
        if issubclass(import_string(options["BACKEND"]), BaseDatabaseCache)
    }


@cache
def is_unrelated(model: type[Model]) -> bool:
    """Return True if no relation leads to the model or away from the model."""
    return not any(field.is_relation for field in model._meta.get_fields(include_hidden=True))


def has_owner(app_label: str) -> bool:
    """Return True if OWNERS has an entry for the app."""
    return app_label in conf.owners or "*" in conf.owners


@lru_cache(maxsize=1024)
def app_of(names: tuple[str, ...]) -> str:
    """Return the label of the app with the first known table of these; `other` if no table is known."""
    tables = models_by_table()
    known = (tables[name] for name in names if name in tables)
    return next((model._meta.app_label for models in known for model in models.values()), OTHER)


@lru_cache(maxsize=1024)
def models_of(names: tuple[str, ...], owner: str) -> tuple[list[type[Model]], list[tuple[str, type[Model]]]]:
    """Return the models of these tables on the owner; and of tables without one there, another owner and its model.

    Do not change the lists: each statement asks for them.
    """
    tables = models_by_table()
    known = [tables[name] for name in names if name in tables]
    here = [models[owner] for models in known if owner in models]
    return here, [next(iter(models.items())) for models in known if owner not in models]


def app_labels() -> tuple[str, ...]:
    """Return all possible results of `app_of()`: the labels of the apps with tables, and `other`."""
    labels = {model._meta.app_label for models in models_by_table().values() for model in models.values()}
    return (*sorted(labels), OTHER)


def _clear_caches(*, setting: str, **_kwargs: Any) -> None:
    if setting in {"SWITCHYARD", "INSTALLED_APPS"}:
        models_by_table.cache_clear()
        app_of.cache_clear()
        models_of.cache_clear()
        is_unrelated.cache_clear()
    if setting == "CACHES":
        cache_tables.cache_clear()


setting_changed.connect(_clear_caches, dispatch_uid="switchyard.routing.topology.tables")
