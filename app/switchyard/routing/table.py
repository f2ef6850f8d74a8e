"""The table of routes: where each model is read, written and migrated, and why. To look at, not to route by."""

from dataclasses import dataclass

from django.apps import apps
from django.db import connections, router
from django.db.models import Model

from switchyard.routing.decisions import decide


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
    """Return every model's route as the installed routers decide it here and now, in the order of apps."""
    return [_route(model) for model in apps.get_models(include_auto_created=True)]


def _route(model: type[Model]) -> Route:
    options = model._meta
    made = options.managed and not options.proxy and not options.swapped
    read = router.db_for_read(model)
    decision = decide(model)
    return Route(
        model=options.label,
        table=options.db_table,
        read=read,
        write=router.db_for_write(model),
        migrate=", ".join(a for a in connections if made and router.allow_migrate_model(a, model)),
        # Where a router of the project's answered otherwise, it is the rule.
        rule=decision.rule if decision.alias == read else _answering_router(model),
    )


def _answering_router(model: type[Model]) -> str:
    asked = (each for each in router.routers if hasattr(each, "db_for_read"))
    return next((type(each).__name__ for each in asked if each.db_for_read(model)), "Django's default")
