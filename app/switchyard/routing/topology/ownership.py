"""The owner of each app, and the replicas of each owner, from the settings. No I/O."""

from functools import cache
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db.models import Model

from switchyard.conf import conf


@cache
def owner_of_app(app_label: str) -> str:
    """Return the alias that the rows of the app are written to.

    Raises ImproperlyConfigured if OWNERS has no entry for the app.
    """
    owner = conf.owners.get(app_label) or conf.owners.get("*")
    if owner is None:
        raise ImproperlyConfigured(
            f"App '{app_label}' has no owner. Add it to SWITCHYARD['OWNERS'], or remove it from INSTALLED_APPS."
        )
    return owner


def migration_owner(app_label: str) -> str | None:
    """Return the alias that the app migrates on; None for an installed app that has no owner.

    Django's own system checks ask the routers, and an error would hide the check that reports such an app (E001).
    Raises ImproperlyConfigured for a label that is not installed and has no owner, because no check reports it.
    """
    try:
        return owner_of_app(app_label)
    except ImproperlyConfigured:
        if app_label in apps.app_configs:
            return None
        raise


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
def is_held_read_only(alias: str) -> bool:
    """Return True if the server holds the alias' sessions read-only: a replica, or a read-only owner."""
    return replicated_by(alias) is not None or is_read_only(alias)


@cache
def is_primary_only(app_label: str) -> bool:
    """Return True if the rows of the app are always read from their owner."""
    return app_label in conf.primary_only


def _clear_caches(*, setting: str, **_kwargs: Any) -> None:
    if setting == "SWITCHYARD":
        for look_up in (owner_of_app, replicas_of, replicated_by, is_read_only, is_held_read_only, is_primary_only):
            look_up.cache_clear()


setting_changed.connect(_clear_caches, dispatch_uid="switchyard.routing.topology.ownership")
