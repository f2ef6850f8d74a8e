"""The table of routes: where each model is read, written and migrated, and why. To look at, not to route by."""

from dataclasses import dataclass

from django.apps import apps
from django.db import connections, router
from django.db.models import Model

from switchyard.routing.selection.explain import explain_route, written_to


@dataclass(frozen=True)
class Route:
    """One model's line; `migrate` is empty where no migration makes its table."""

    model: str
    table: str
    read: str
    write: str
    migrate: str
    rule: str


def route_table() -> list[Route]:
    """Return every model's route as the installed routers decide it here and now, in the order of apps. No trace."""
    return [_route(model) for model in apps.get_models(include_auto_created=True)]


def _route(model: type[Model]) -> Route:
    options = model._meta
    made = options.managed and not options.proxy and not options.swapped
    read = explain_route(model)
    return Route(
        model=options.label,
        table=options.db_table,
        read=read.alias,
        write=written_to(model),
        migrate=", ".join(a for a in connections if made and router.allow_migrate_model(a, model)),
        rule=read.rule,
    )
