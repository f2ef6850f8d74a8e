"""Errors as `application/problem+json` (RFC 9457): the fault and the remedy, never a host or a driver's message.

`install()` registers the handlers for exceptions that views of the API raise. `urls.py` names the handlers for errors
outside of the API's views.
"""

# ruff: noqa: ARG001 - ninja and Django pass the request and the error to every handler

import logging
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import (
    NON_FIELD_ERRORS,
    ObjectDoesNotExist,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from ninja import Field, NinjaAPI, Schema
from ninja.errors import HttpError, ValidationError

from rest import SHAPES

CONTENT_TYPE = "application/problem+json"
RETRY = {"Retry-After": "1"}  # seconds; the monitor finds a server that is back within two
UNAVAILABLE = "A database that this request needs does not answer. Try again in a moment."

logger = logging.getLogger(__name__)


class FieldProblem(Schema):
    """One wrong value and its place in the `body`, the `query` or the `path`."""

    source: str
    pointer: str
    detail: str


class Problem(Schema):
    """An error in the form of RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = Field(default_factory=list)


def problem(
    status: int, detail: str, *, errors: Sequence[FieldProblem] = (), headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Return a problem as a response."""
    body = Problem(
        type="about:blank", title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(errors)
    )
    return JsonResponse(
        body.model_dump(exclude_defaults=True), status=status, content_type=CONTENT_TYPE, headers=headers
    )


def install(api: NinjaAPI) -> None:
    """Let the API answer with a problem to each exception that its views and their parameters raise."""
    for kind, handler in HANDLERS.items():
        api.add_exception_handler(kind, handler)


def _refused(request: HttpRequest, error: HttpError) -> HttpResponse:
    # ninja turns each exception of the parser into a 400 without a reason; the parser's own error has the reason
    cause = error.__cause__ if isinstance(error.__cause__, HttpError) else error
    return problem(cause.status_code, cause.message)


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [_field_problem(item["loc"], item["msg"]) for item in error.errors]
    return problem(422, "The request has wrong values; see errors.", errors=errors)


def _refused_by_model(request: HttpRequest, error: ModelValidationError) -> HttpResponse:
    errors = [
        _field_problem(("body", "body") if field == NON_FIELD_ERRORS else ("body", "body", field), message)
        for field, messages in error.message_dict.items()
        for message in messages
    ]
    return problem(422, "The request has wrong values; see errors.", errors=errors)


def _absent(request: HttpRequest, error: Exception) -> HttpResponse:
    return problem(404, f"Nothing is at {request.path}.")


def _too_big(request: HttpRequest, error: Exception) -> HttpResponse:
    return problem(413, "The request's body is too big. Send it in several parts.")


def _suspicious(request: HttpRequest, error: Exception) -> HttpResponse:
    return problem(400, "The request cannot be read: it has too many parameters or a malformed part.")


def _unavailable(request: HttpRequest, error: Exception) -> HttpResponse:
    # no traceback: it would add nothing, and its frames hold the connection parameters
    logger.error("%s %s failed: a database does not answer: %s", request.method, request.path, str(error).strip())
    return problem(503, UNAVAILABLE, headers=RETRY)


HANDLERS: Mapping[type[Exception], Any] = {
    HttpError: _refused,
    ValidationError: _invalid,
    ModelValidationError: _refused_by_model,
    Http404: _absent,
    ObjectDoesNotExist: _absent,
    RequestDataTooBig: _too_big,
    SuspiciousOperation: _suspicious,
    OperationalError: _unavailable,
    InterfaceError: _unavailable,
}


def _field_problem(loc: Sequence[str | int], detail: str) -> FieldProblem:
    """Return the problem at ninja's `loc`, with a JSON pointer (RFC 6901) into the body, the query or the path."""
    source, *path = loc
    if source == "body":
        path = [step for step in path[1:] if step not in SHAPES]  # the first step is the name of the view's parameter
    escaped = [str(step).replace("~", "~0").replace("/", "~1") for step in path]
    return FieldProblem(source=str(source), pointer="/".join(["#", *escaped]), detail=detail)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that Django itself refuses, such as a host that is not allowed."""
    if _is_api(request):
        return problem(400, "The request cannot be read.")
    return defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a path that has no view."""
    return _absent(request, exception) if _is_api(request) else defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a failure: 503 when a database did not answer, else 500. Django has logged the exception."""
    status, detail, headers = 500, "The service failed; its log has the cause.", None
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        status, detail, headers = 503, UNAVAILABLE, RETRY
    if _is_api(request):
        return problem(status, detail, headers=headers)
    return HttpResponse(f"{detail}\n", status=status, content_type="text/plain; charset=utf-8", headers=headers)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")
