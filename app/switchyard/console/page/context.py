"""The context of the page's templates, and the parts of the page that a browser asks for again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.template.loader import render_to_string

from switchyard.console.console_data import console_data
from switchyard.console.page.attention import findings
from switchyard.console.page.picture import picture
from switchyard.console.page.rows import rows, totals
from switchyard.console.route_question import QuestionError, answer
from switchyard.routing.selection.explain import route_table
from switchyard.routing.selection.rules import RULES
from switchyard.telemetry.metrics import OPERATIONS

# The ids of the elements whose content is asked for again; the template of "now" is
# `templates/switchyard/console/_now.html`.
PARTS = ("as_of", "now", "topology", "aliases", "route", "statements", "violations", "references", "routes")
CONDITIONS = {
    "in_transaction": "in a transaction",
    "has_written": "has just written",
    "unsafe_method": "unsafe method, such as POST",
    "replicas_down": "replicas down",
}


@dataclass(frozen=True)
class Condition:
    """A box of the form: what may hold for the read, and whether it is ticked."""

    name: str
    label: str
    holds: bool


def page_context(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the context of the page. The parameters are those of the form for a route."""
    data = console_data()
    return {
        "data": data,
        "totals": totals(data),
        "findings": findings(data),
        "lanes": picture(data),
        "rows": rows(data),
        "operations": OPERATIONS,
        "routes": route_table(),
        "rules": RULES,
        **_question(parameters),
    }


def page_parts(context: dict[str, Any]) -> dict[str, str]:
    """Return the HTML of each part by its id."""
    return {name: render_to_string(f"switchyard/console/_{name}.html", context) for name in PARTS}


def _question(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the form as it was sent, and its answer; without a model, the form asks for the users' model."""
    model = parameters.get("model") or get_user_model()._meta.label
    app, _, name = model.partition(".")
    held = {condition: parameters[condition] for condition in CONDITIONS if condition in parameters}
    shown: dict[str, Any] = {
        "model": model,
        "conditions": [Condition(name, label, bool(held.get(name))) for name, label in CONDITIONS.items()],
    }
    try:
        return shown | {"route": answer({"app": app, "model": name, **held})}
    except QuestionError as error:
        return shown | {"route_error": str(error)}
