"""`routes`: print where each model is read, written and migrated, and the rule that decided."""

import json
from dataclasses import asdict
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Model
from rich.console import Console
from rich.table import Table

from switchyard.management.tables import console
from switchyard.routing.selection.explain import ModelRoute, explain_route, route_table
from switchyard.routing.selection.rules import RULES
from switchyard.routing.topology.ownership import replicated_by

_COLUMNS = ("model", "read", "write", "migrate", "rule")


class Command(BaseCommand):
    """Print the table of routes, or explain one model."""

    help = (
        "Shows for every model the alias that it is read from, written to and migrated on, and the rule that chose the "
        "alias of the read. Asks the installed routers and no database. Every replica counts as fit, because no "
        "monitor runs in this process."
    )
    requires_system_checks = ("switchyard",)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = "Rules, in their order: " + "; ".join(f"{r.name}: {r.description}" for r in RULES) + "."
        parser.add_argument(
            "model", nargs="?", help="Explain this model, app_label.ModelName: each rule that was tried, each replica."
        )
        parser.add_argument("--json", action="store_true", help="Print a JSON list with an object for each model.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["model"] and not options["json"]:
            self._explain(_model(options["model"]))
            return
        routes = route_table()
        if options["model"]:
            routes = [route for route in routes if route.model == _model(options["model"])._meta.label]
        if options["json"]:
            self.stdout.write(json.dumps([asdict(route) for route in routes], indent=2))
        else:
            _show(console(self.stdout, options), routes)

    def _explain(self, model: type[Model]) -> None:
        explained = explain_route(model)
        lines = [str(explained)]
        lines += [f"  {each.rule} ({each.description}): {each.alias or 'no'}" for each in explained.results]
        lines += [f"  replica '{each.alias}': {each.unfit_reason or 'fit'}" for each in explained.replicas]
        self.stdout.write("\n".join(lines))


def _show(shown_on: Console, routes: list[ModelRoute]) -> None:
    table = Table(*_COLUMNS)
    for route in routes:
        style = "green" if replicated_by(route.read) else "cyan"
        table.add_row(route.model, f"[{style}]{route.read}[/]", route.write, route.migrate or "-", route.rule)
    shown_on.print(table)
    used = {route.rule for route in routes}
    for rule in (rule for rule in RULES if rule.name in used):
        shown_on.print(f"[bold]{rule.name}[/]: {rule.description}")


def _model(label: str) -> type[Model]:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise CommandError(f"'{label}' is no model: give app_label.ModelName, as in the table of `routes`.") from error
