"""The question where a model is read and written in supposed circumstances, from the parameters of a request."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model

from switchyard.routing.selection.circumstances import Circumstances
from switchyard.routing.selection.explain import explain_supposed_route, explain_write

_TRUTH = {"1": True, "true": True, "on": True, "0": False, "false": False, "": False}
_CONDITIONS = tuple(field.name for field in fields(Circumstances))


class QuestionError(Exception):
    """A parameter is missing or wrong. The text is for the client."""


def answer(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the alias, the rule and its description for a read and for a write.

    `app` and `model` name the model; `in_transaction`, `has_written`, `unsafe_method` and `replicas_down` are 1 where
    they hold. Raises QuestionError for wrong parameters. Makes no query.
    """
    if unknown := sorted(parameters.keys() - {"app", "model", *_CONDITIONS}):
        raise QuestionError(f"Unknown parameter '{unknown[0]}'. Parameters: app, model, {', '.join(_CONDITIONS)}.")
    model = _model(parameters)
    circumstances = Circumstances(**{name: _condition(parameters, name) for name in _CONDITIONS})
    try:
        read, write = explain_supposed_route(model, circumstances), explain_write(model)
    except ImproperlyConfigured as error:  # an app without an owner
        raise QuestionError(str(error)) from None
    return {
        "model": read.model,
        "owner": read.owner,
        **asdict(circumstances),
        "read": {
            "alias": read.alias,
            "rule": read.rule,
            "description": read.why,
            "rules": [
                {"rule": result.rule, "description": result.description, "alias": result.alias}
                for result in read.results
            ],
        },
        "write": {"alias": write.alias, "rule": write.rule, "description": write.why},
    }


def _model(parameters: Mapping[str, str]) -> type[Model]:
    app, name = parameters.get("app", ""), parameters.get("model", "")
    if not app or not name:
        raise QuestionError("Name the model: ?app=LABEL&model=NAME.")
    if app not in apps.app_configs:
        raise QuestionError(f"No app has the label '{app}'. Labels: {', '.join(sorted(apps.app_configs))}.")
    models = {each._meta.model_name: each for each in apps.get_app_config(app).get_models(include_auto_created=True)}
    if name.lower() not in models:
        names = ", ".join(sorted(each._meta.object_name or "" for each in models.values())) or "none"
        raise QuestionError(f"The app '{app}' has no model '{name}'. Models: {names}.")
    return models[name.lower()]


def _condition(parameters: Mapping[str, str], name: str) -> bool:
    value = parameters.get(name, "")
    if value.lower() not in _TRUTH:
        raise QuestionError(f"{name} is '{value}': send 1 where it holds, 0 otherwise.")
    return _TRUTH[value.lower()]
