"""Why a command is refused on an alias: each function raises CommandError with the alias to name instead."""

from collections.abc import Iterable

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import connections

from switchyard.routing.topology.ownership import database_aliases, is_unmanaged, owner_of_app, replicated_by


def refuse_empty(alias: str) -> None:
    """Refuse an alias that leads to no database, as `default` if it is empty in DATABASES."""
    if alias in connections and alias not in database_aliases():
        raise CommandError(
            f"'{alias}' is empty in DATABASES. Name one of these with --database: {', '.join(database_aliases())}."
        )


def refuse_unknown(alias: str) -> None:
    """Refuse an alias that DATABASES does not have, or has empty."""
    refuse_empty(alias)
    if alias not in connections:
        raise CommandError(f"'{alias}' is no alias of DATABASES. Name one of: {', '.join(database_aliases())}.")


def refuse_replica(command: str, alias: str) -> None:
    """Refuse a replica."""
    if owner := replicated_by(alias):
        raise CommandError(
            f"'{alias}' is a replica of '{owner}' and gets its tables and rows from there. "
            f"Run: {command} --database={owner}"
        )


def refuse_other_owner(command: str, alias: str, app_labels: Iterable[str]) -> None:
    """Refuse an alias that neither owns the apps nor replicates their owner, and an app without an owner."""
    for label in app_labels:
        try:
            owner = owner_of_app(label)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        if owner != (replicated_by(alias) or alias):
            raise CommandError(
                f"App '{label}' is owned by '{owner}', not by '{alias}'. Run: {command} --database={owner}"
            )


def with_models(app_labels: Iterable[str]) -> list[str]:
    """Return the labels of installed apps with models. Of the others Django says itself that they are not there."""
    return [label for label in app_labels if label in apps.app_configs and any(apps.get_app_config(label).get_models())]


def unmanaged_notice(alias: str) -> str:
    """Return the sentence that a command prints in place of work on an unmanaged owner; empty on other aliases."""
    if not is_unmanaged(replicated_by(alias) or alias):
        return ""
    return f"'{alias}' is unmanaged (SWITCHYARD['UNMANAGED']): this project neither migrates nor empties its tables."
