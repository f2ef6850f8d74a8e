"""The owner of each app, and the replicas of each owner, from the settings. No I/O.

No alias has a role by its name. With `DATABASES["default"] = {}`, which Django allows, `default` leads to no database.
"""

from functools import cache
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model

from switchyard.conf import conf

_EMPTY_ENGINE = "django.db.backends.dummy"  # Django's, for an alias without settings


def database_aliases() -> tuple[str, ...]:
    """Return the aliases that lead to a database, in the order of DATABASES. An empty `default` leads to none."""
    return tuple(alias for alias in connections if connections.settings[alias]["ENGINE"] != _EMPTY_ENGINE)


def owners() -> tuple[str, ...]:
    """Return the aliases that own an app, in the order of DATABASES."""
    owning = set(conf.owners.values())
    return tuple(alias for alias in database_aliases() if alias in owning)


def owner_by_default() -> str | None:
    """Return the owner that a call means without an alias; None if the settings do not tell.

    That is `default` if it owns an app or has replicas, else the only owner with replicas, else the only owner.
    """
    if DEFAULT_DB_ALIAS in owners() or replicas_of(DEFAULT_DB_ALIAS):
        return DEFAULT_DB_ALIAS
    choices = [owner for owner in owners() if replicas_of(owner)] or owners()
    return choices[0] if len(choices) == 1 else None


@cache
def owner_of_app(app_label: str) -> str:
    """Return the alias that the rows of the app are written to.

    Raises ImproperlyConfigured if OWNERS has no entry for the app.
    """
    owner = conf.owners.get(app_label) or conf.owners.get("*")
    if owner is None:
        or_remove = ", or remove it from INSTALLED_APPS" if app_label in apps.app_configs else ""
        raise ImproperlyConfigured(f"App '{app_label}' has no owner. Add it to SWITCHYARD['OWNERS']{or_remove}.")
    return owner


def migration_owner(app_label: str) -> str | None:
    """Return the alias that the app migrates on; None for an app of an unmanaged owner or without owner.

    Django's own system checks ask the routers, and an error would hide the check that reports such an app (E001).
    Raises ImproperlyConfigured for a label that is not installed and has no owner, because no check reports it.
    """
    try:
        owner = owner_of_app(app_label)
    except ImproperlyConfigured:
        if app_label in apps.app_configs:
            return None
        raise
    return None if is_unmanaged(owner) else owner


def owner_of(model: type[Model]) -> str:
    """Return the alias that the rows of the model are written to. Raises ImproperlyConfigured as `owner_of_app` does.

    Not cached by model: migrations render thousands of model classes.
    """
    return owner_of_app(app_of_rows(model))


def app_of_rows(model: type[Model]) -> str:
    """Return the label of the app that has the table of the model. A proxy uses the table of its concrete model."""
    # Django's database cache passes a class of its own to the routers, without all attributes of a model.
    return (getattr(model._meta, "concrete_model", None) or model)._meta.app_label


@cache
def replicas_of(owner: str) -> tuple[str, ...]:
    """Return the aliases that replicate the owner, in the order of REPLICAS."""
    return tuple(conf.replicas.get(owner, ()))


@cache
def replicated_by(alias: str) -> str | None:
    """Return the owner of the replica; None if the alias is not a replica."""
    return next((owner for owner, replicas in conf.replicas.items() if alias in replicas), None)


def owner_and_replicas(owner: str) -> tuple[str, ...]:
    """Return the owner and its replicas: the aliases with the same rows."""
    return (owner, *replicas_of(owner))


@cache
def is_read_only(alias: str) -> bool:
    """Return True if the alias is an owner that refuses writes outside `allow_writes()`."""
    return alias in conf.read_only


@cache
def is_unmanaged(alias: str) -> bool:
    """Return True if the alias is an owner whose tables are made by others than this project's migrations."""
    return alias in conf.unmanaged


@cache
def is_held_read_only(alias: str) -> bool:
    """Return True if the server holds the alias' sessions read-only: a replica, or a read-only owner."""
    return replicated_by(alias) is not None or is_read_only(alias)


@cache
def is_primary_only(app_label: str) -> bool:
    """Return True if the rows of the app are always read from their owner."""
    return app_label in conf.primary_only


def _clear_caches(*, setting: str, **_kwargs: Any) -> None:
    if setting == "SWITCHYARD":
        for look_up in (
            owner_of_app,
            replicas_of,
            replicated_by,
            is_read_only,
            is_unmanaged,
            is_held_read_only,
            is_primary_only,
        ):
            look_up.cache_clear()


setting_changed.connect(_clear_caches, dispatch_uid="switchyard.routing.topology.ownership")
