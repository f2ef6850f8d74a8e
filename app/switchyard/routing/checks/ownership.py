"""System checks of OWNERS, REPLICAS, POLICIES and the routers; and `check_routing()`, which runs all checks."""

from collections.abc import Iterator, Mapping
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils.module_loading import import_string

from switchyard.conf import POLICIES, PRIMARY_ONLY, conf
from switchyard.routing.checks import databases, middleware, relations, shape
from switchyard.routing.policies import BY_LABEL, CHOICES
from switchyard.routing.selection.routers import AppRouter, PrimaryReplicaRouter
from switchyard.routing.topology.ownership import database_aliases
from switchyard.routing.topology.tables import CACHE_APP, cache_tables, has_owner

TESTED_DJANGO_VERSIONS = ((5, 2), (6, 0), (6, 1))


def check_routing(**_kwargs: Any) -> list[CheckMessage]:
    """Return the messages of all checks that need no server. `SwitchyardConfig.ready()` registers it with Django."""
    if wrong := [*shape.wrong_types()]:
        return wrong
    tables = (shape.CHECKS, CHECKS, databases.CHECKS, relations.CHECKS, middleware.CHECKS)
    return [message for table in tables for check in table for message in check()]


def _unowned_apps() -> Iterator[CheckMessage]:
    for app in apps.get_app_configs():
        if any(app.get_models()) and not has_owner(app.label):
            yield Error(
                f"App '{app.label}' has models and no owner.",
                hint=f"Add '{app.label}': '<alias>' to SWITCHYARD['OWNERS'], or remove '{app.name}' from "
                "INSTALLED_APPS.",
                id="switchyard.E001",
            )


def _unowned_caches() -> Iterator[CheckMessage]:
    if has_owner(CACHE_APP):
        return
    for cache in cache_tables().values():
        yield Error(
            f"CACHES['{cache}'] keeps its rows in a database, and '{CACHE_APP}', their app, has no owner.",
            hint=f"Add '{CACHE_APP}': '<alias>' to SWITCHYARD['OWNERS'].",
            id="switchyard.E001",
        )


def _unknown_owners() -> Iterator[CheckMessage]:
    for label, owner in conf.owners.items():
        if owner not in database_aliases():
            yield Error(
                f"SWITCHYARD['OWNERS'] gives app '{label}' to '{owner}', which {_has_no_database(owner)}.",
                hint=f"Add '{owner}' to DATABASES, or give '{label}' to one of: {_aliases()}.",
                id="switchyard.E002",
            )


def _unknown_replicas() -> Iterator[CheckMessage]:
    for alias in dict.fromkeys((*conf.replicas, *_replicas())):
        if alias not in database_aliases():
            yield Error(
                f"SWITCHYARD['REPLICAS'] names '{alias}', which {_has_no_database(alias)}.",
                hint=f"Add '{alias}' to DATABASES, or take it out of REPLICAS. Aliases: {_aliases()}.",
                id="switchyard.E003",
            )


def _replicas_of_replicas() -> Iterator[CheckMessage]:
    for alias in dict.fromkeys(_replicas()):
        if conf.replicas.get(alias):
            yield Error(
                f"'{alias}' is a replica in SWITCHYARD['REPLICAS'] and has replicas itself.",
                hint=f"List the replicas of '{alias}' under the owner whose rows they hold.",
                id="switchyard.E004",
            )


def _owning_replicas() -> Iterator[CheckMessage]:
    replicas = set(_replicas())
    for label, owner in conf.owners.items():
        if owner in replicas:
            yield Error(
                f"SWITCHYARD['OWNERS'] gives app '{label}' to '{owner}', which is a replica and takes no writes.",
                hint=f"Give '{label}' to the owner that '{owner}' replicates, or take '{owner}' out of REPLICAS.",
                id="switchyard.E005",
            )


def _routers() -> Iterator[CheckMessage]:
    routers = [
        import_string(router) if isinstance(router, str) else type(router) for router in settings.DATABASE_ROUTERS
    ]
    classes = [next((own for own in (PrimaryReplicaRouter, AppRouter) if issubclass(r, own)), None) for r in routers]
    if AppRouter not in classes and set(conf.owners.values()) - {DEFAULT_DB_ALIAS}:
        yield Error(
            "DATABASE_ROUTERS has no AppRouter: Django reads and writes apps of other owners on 'default'.",
            hint="Add 'switchyard.routing.AppRouter' as the last router.",
            id="switchyard.E006",
        )
    if any(conf.replicas.values()) and PrimaryReplicaRouter not in classes:
        yield Error(
            "DATABASE_ROUTERS has no PrimaryReplicaRouter: no replica of SWITCHYARD['REPLICAS'] is read.",
            hint="Put 'switchyard.routing.PrimaryReplicaRouter' first.",
            id="switchyard.E006",
        )
    if PrimaryReplicaRouter in classes and AppRouter in classes[: classes.index(PrimaryReplicaRouter)]:
        yield Error(
            "AppRouter stands before PrimaryReplicaRouter in DATABASE_ROUTERS and always answers: no replica is read.",
            hint="Put 'switchyard.routing.PrimaryReplicaRouter' first.",
            id="switchyard.E006",
        )


def _shared_replicas() -> Iterator[CheckMessage]:
    for alias in dict.fromkeys(_replicas()):
        owners = [owner for owner, replicas in conf.replicas.items() if alias in replicas]
        if len(owners) > 1:
            yield Error(
                f"SWITCHYARD['REPLICAS'] lists '{alias}' under more than one owner: {', '.join(owners)}.",
                hint=f"Leave '{alias}' under the owner that its server replicates.",
                id="switchyard.E007",
            )


def _misnamed_owners() -> Iterator[CheckMessage]:
    settings = (("READ_ONLY", conf.read_only), ("OPTIONAL", conf.optional), ("UNMANAGED", conf.unmanaged))
    for key, aliases in settings:
        for alias in sorted(aliases - (set(database_aliases()) - set(_replicas()))):
            yield Error(
                f"SWITCHYARD['{key}'] names '{alias}', which is no owner, so it has no effect.",
                hint=f"Name an alias of DATABASES that is no replica, or take '{alias}' out of {key}.",
                id="switchyard.E008",
            )


def _unknown_apps() -> Iterator[CheckMessage]:
    # from_environment() gives Django's own apps an owner, installed or not: they are those of PRIMARY_ONLY.
    for label in sorted(conf.owners.keys() - {"*"} - PRIMARY_ONLY - set(apps.app_configs)):
        yield Warning(
            f"SWITCHYARD['OWNERS'] gives '{label}' an owner, which is the label of no installed app.",
            hint=f"Write the label of the app, which may differ from its dotted path, or take '{label}' out of OWNERS.",
            id="switchyard.W011",
        )


def _unknown_primary_only_apps() -> Iterator[CheckMessage]:
    for label in sorted(conf.primary_only - PRIMARY_ONLY - set(apps.app_configs)):
        yield Warning(
            f"SWITCHYARD['PRIMARY_ONLY'] names '{label}', which is the label of no installed app, so it has no effect.",
            hint=f"Write the label of the app, which may differ from its dotted path, or take '{label}' out of "
            "PRIMARY_ONLY.",
            id="switchyard.W009",
        )


def _wrong_policies() -> Iterator[CheckMessage]:
    labels = {"*", *map(str.lower, (*apps.app_configs, *(model._meta.label for model in apps.get_models())))}
    for key, value in conf.policies.items():
        if key not in POLICIES:
            yield _wrong_policy(f"['{key}'] is no policy", f"Policies: {', '.join(POLICIES)}")
            continue
        by_label = value if isinstance(value, Mapping) and key in BY_LABEL else {"*": value}
        for label, policy in by_label.items():
            at = f"['{key}']" if by_label is not value else f"['{key}']['{label}']"
            if label.lower() not in labels:
                hint = "Write 'app_label.ModelName', 'app_label', or '*' for all other models"
                yield _wrong_policy(f"{at} names no model and no app", hint)
            if policy not in CHOICES[key]:
                yield _wrong_policy(f"{at} is {policy!r}", f"Choose one of: {', '.join(CHOICES[key])}")


def _wrong_policy(mistake: str, hint: str) -> CheckMessage:
    return Error(f"SWITCHYARD['POLICIES']{mistake}.", hint=f"{hint}.", id="switchyard.E009")


def _unmirrored_replicas() -> Iterator[CheckMessage]:
    for owner, replicas in conf.replicas.items():
        for alias in replicas:
            if alias in connections and connections.settings[alias]["TEST"]["MIRROR"] != owner:
                yield Warning(
                    f"In tests the replica '{alias}' would get an empty database of its own.",
                    hint=f"Set DATABASES['{alias}']['TEST'] = {{'MIRROR': '{owner}'}}.",
                    id="switchyard.W001",
                )


def _untested_django() -> Iterator[CheckMessage]:
    if django.VERSION[:2] not in TESTED_DJANGO_VERSIONS:
        tested = ", ".join(f"{major}.{minor}" for major, minor in TESTED_DJANGO_VERSIONS)
        yield Warning(
            f"Switchyard is not tested on Django {django.get_version()}, and replaces some of Django's private names.",
            hint=f"Install one of: {tested}. Else run your own tests on this Django, and silence this check.",
            id="switchyard.W006",
        )


def _replicas() -> list[str]:
    return [alias for replicas in conf.replicas.values() for alias in replicas]


def _aliases() -> str:
    return ", ".join(sorted(database_aliases()))


def _has_no_database(alias: str) -> str:
    return "is empty in DATABASES" if alias in connections else "is not in DATABASES"


CHECKS = (
    _unowned_apps,
    _unowned_caches,
    _unknown_owners,
    _unknown_replicas,
    _replicas_of_replicas,
    _owning_replicas,
    _routers,
    _shared_replicas,
    _misnamed_owners,
    _unknown_apps,
    _unknown_primary_only_apps,
    _wrong_policies,
    _unmirrored_replicas,
    _untested_django,
)
