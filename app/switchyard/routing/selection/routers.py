"""The two routers: one line each over the tables of owners and rules.

Each router is complete alone. In DATABASE_ROUTERS, `PrimaryReplicaRouter` comes first.
"""

from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from switchyard.routing.decision import decision, decision_counter
from switchyard.routing.selection import last_decisions
from switchyard.routing.selection.select import decide
from switchyard.routing.topology.ownership import migration_owner, owner_of, replicas_of, replicated_by


class AppRouter:
    """Send every app to its owner, for reads, writes, relations and migrations.

    Each method raises ImproperlyConfigured for an app without an owner.

        DATABASE_ROUTERS = ["switchyard.routing.AppRouter"]
    """

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        owner = owner_of(model)
        if not replicas_of(owner):  # otherwise PrimaryReplicaRouter has counted the decision
            decision_counter.count(decision(owner, "owner"))
            if last_decisions.are_kept:
                last_decisions.note(model, decision(owner, "owner"))
        return owner

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        owner = owner_of(model)
        decision_counter.count(decision(owner, "write"))
        if last_decisions.are_kept:
            last_decisions.note(model, decision(owner, "write"))
        return owner

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        # Not by `type()`: Django passes `request.user` as the lazy object that it is.
        return owner_of(first.__class__) == owner_of(second.__class__)

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return migration_owner(app_label) == db and not replicated_by(db)


class PrimaryReplicaRouter(AppRouter):
    """Send reads to a fit, caught-up replica of the model's owner, and writes to the owner; a replica never migrates.

    A decision makes no query. Each method raises ImproperlyConfigured for an app without an owner.

        DATABASE_ROUTERS = ["switchyard.routing.PrimaryReplicaRouter", "switchyard.routing.AppRouter"]
    """

    def db_for_read(  # type: ignore[override]
        self, model: type[Model], instance: Model | None = None, **hints: Any
    ) -> str | None:
        chosen = decide(model, instance)
        if last_decisions.are_kept:
            last_decisions.note(model, chosen)
        # Without an answer here the next router answers, or Django, which takes the instance's alias or "default".
        # Return None only if Django's own choice is the same alias.
        if chosen.may_defer and chosen.alias == djangos_choice(instance):
            if chosen.rule == "down":
                decision_counter.count(chosen)
            return None
        decision_counter.add(chosen)
        return chosen.alias

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if replicated_by(db) or migration_owner(app_label) != db else None


def djangos_choice(instance: Model | None) -> str:
    """Return the alias that Django chooses when no router answers."""
    return (instance is not None and instance._state.db) or DEFAULT_DB_ALIAS
