"""The two routers: one line each over the tables of owners and rules.

Each is complete alone. Stacked, `PrimaryReplicaRouter` comes first.
"""

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model

from switchyard.routing.decisions import choose, is_in_transaction, route_of, routes, thread
from switchyard.routing.owners import migration_owner, owner_of, replicas_of, replicated_by
from switchyard.routing.state import current
from switchyard.routing.tally import decision, tally


class AppRouter:
    """Send every app to its owner, for reads, writes, relations and migrations."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        owner = owner_of(model)
        if not replicas_of(owner):  # else the router that knows the replicas has counted it
            tally.count(decision(owner, "owner"))
        return owner

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        owner = owner_of(model)
        tally.count(decision(owner, "write"))
        return owner

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        return owner_of(type(first)) == owner_of(type(second))

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return migration_owner(app_label) == db and not replicated_by(db)


class PrimaryReplicaRouter(AppRouter):
    """Send reads to a fit replica of the model's owner, writes to the owner; a replica never migrates."""

    def db_for_read(  # type: ignore[override]
        self, model: type[Model], instance: Model | None = None, **hints: Any
    ) -> str | None:
        # On the way of every query: the usual read is decided here, in as few steps as can be, the others by choose().
        try:
            route = routes[model]
        except KeyError:
            route = route_of(model)
        chosen = route.always
        if chosen is None:
            state = current()
            settled = state.ledger.settled
            if settled.judgement is not route.group.judgement or instance is not None or not state.plain:
                chosen = choose(route, instance)
            else:
                try:  # as wrapper_of() does
                    connection = getattr(thread, route.owner)
                except AttributeError:
                    connection = connections[route.owner]
                if connection.in_atomic_block or not (connection.autocommit or connection.connection is None):
                    chosen = route.by.in_transaction if is_in_transaction(connection) else choose(route, None)
                else:
                    chosen = settled.default
        if chosen.left and chosen.alias == djangos_choice(instance):
            # Without a next router Django takes the instance's alias, which may be the unfit replica, or `default`,
            # which may not be the owner: no opinion only where that comes to the same.
            if chosen.rule == "down":
                tally.count(chosen)
            return None
        try:
            tally.thread.cells[chosen.column] += 1.0
        except (AttributeError, TypeError):  # the thread's first, or the first of this kind
            tally.count(chosen)
        return chosen.alias

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if replicated_by(db) or migration_owner(app_label) != db else None


def djangos_choice(instance: Model | None) -> str:
    """Return where Django sends what no router has an opinion on."""
    return (instance is not None and instance._state.db) or DEFAULT_DB_ALIAS
