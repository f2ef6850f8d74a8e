"""The API: the router of each installed app of the service, behind one token. An absent app has no path."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, re_path
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI, Router, Schema
from ninja.errors import HttpError
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser
from pydantic_core import from_json

from config import problems
from config.authentication import holds_token, is_staff
from config.openapi import complete
from config.service_apps import SERVICE_APPS
from switchyard.routing.topology.ownership import owner_of_app, replicated_by

DOCUMENTATION = frozenset({"openapi-json", "openapi-view"})

type View = Callable[..., HttpResponse]


class StrictParser(Parser):
    """Parse JSON as RFC 8259 defines it: UTF-8, no NaN, no unpaired surrogates, limited nesting."""

    def parse_body(self, request: HttpRequest) -> Any:
        if request.content_type != "application/json":
            raise HttpError(415, f"The body's type is {request.content_type!r}. Send application/json.")
        try:
            return from_json(request.body, allow_inf_nan=False)
        except ValueError as error:
            raise HttpError(400, f"The body is not JSON: {error}.") from error


class Api(NinjaAPI):
    """Require the token for every path under /api, also for a path that has no view."""

    @property
    def urls(self) -> tuple[list[URLResolver | URLPattern], str, str]:
        patterns, app, namespace = super().urls
        for pattern in patterns:
            if isinstance(pattern, URLPattern):  # ninja makes no others
                pattern.callback = _token_required(pattern.callback, staff=pattern.name in DOCUMENTATION)
        return [*patterns, re_path("", _token_required(_not_found))], app, namespace

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        return complete(super().get_openapi_schema(**options))


def _token_required(view: View, *, staff: bool = False) -> View:
    """Return the view behind the token; with `staff`, the session of a staff member opens it too."""

    @csrf_exempt
    @wraps(view)
    def guarded(request: HttpRequest, **parameters: Any) -> HttpResponse:
        if not (holds_token(request) or (staff and is_staff(request))):
            return problems.problem(
                401,
                "Send the API's token: 'Authorization: Bearer <token>'.",
                headers={"WWW-Authenticate": 'Bearer realm="switchyard"'},
            )
        response = view(request, **parameters)
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(sorted(response["Allow"].split(", ")))
            return problems.problem(405, f"{request.path} takes {allowed} only.", headers={"Allow": allowed})
        return response

    return guarded


def _not_found(_request: HttpRequest) -> HttpResponse:
    raise Http404


class AliasOut(Schema):
    """An alias: its vendor, its role, and the apps whose rows its database holds."""

    alias: str
    vendor: str
    role: str
    replica_of: str | None
    apps: list[str]


aliases = Router(tags=["aliases"])


@aliases.get("/aliases", response=list[AliasOut])
def list_aliases(request: HttpRequest) -> list[dict[str, Any]]:  # noqa: ARG001 - ninja passes it by name
    """List the aliases of this service. Makes no query."""
    labels = [config.label for config in apps.get_app_configs() if any(config.get_models())]
    return [
        {
            "alias": alias,
            "vendor": connections[alias].vendor,
            "role": "replica" if replicated_by(alias) else "primary",
            "replica_of": replicated_by(alias),
            "apps": sorted(label for label in labels if owner_of_app(label) == (replicated_by(alias) or alias)),
        }
        for alias in settings.DATABASES
    ]


def compose() -> Api:
    """Build the API of the service's apps that are installed and have a module `api`."""
    api = Api(
        title="Switchyard",
        version="1",
        description="Users, events, reports and an older application's customers, each on its own database.",
        urls_namespace="api",
        parser=StrictParser(),
    )
    problems.install(api)
    api.add_router("", aliases)
    for app in SERVICE_APPS:
        if apps.is_installed(app.label) and find_spec(f"{app.label}.api"):
            api.add_router("", import_string(f"{app.label}.api.router"))
    return api


api = compose()
