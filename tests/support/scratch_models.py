"""Models that a test makes in a registry of its own, apart from those of the installed apps."""

from collections.abc import Mapping
from typing import Any

from django.apps.registry import Apps
from django.db.models import Model


def scratch_model(
    name: str, app: str, registry: Apps, *bases: type[Model], meta: Mapping[str, Any] | None = None, **body: Any
) -> Any:
    """Make a model of the app in the registry, with these bases, options and attributes."""
    options = type("Meta", (), {"apps": registry, "app_label": app, **(meta or {})})
    return type(name, bases or (Model,), {"__module__": __name__, "Meta": options, **body})
