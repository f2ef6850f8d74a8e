"""Errors as `application/problem+json` (RFC 9457): the fault and the remedy, never a host or a driver's message.

`install()` registers the handlers for exceptions that views of the API raise. `urls.py` names the handlers for errors
outside of the API's views.
"""

# ruff: noqa: ARG001 - ninja and Django pass the request and the error to every handler

import json
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from traceback import clear_frames
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ObjectDoesNotExist, SuspiciousOperation
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from ninja import Field, NinjaAPI, Schema
from ninja.errors import HttpError, ValidationError

from rest import MAX_PROBLEMS, SHAPES

CONTENT_TYPE = "application/problem+json"
RETRY = {"Retry-After": "1"}  # seconds; the monitor finds a server that is back within two
MAX_BYTES = 16 * 1024  # of an error answer
WRONG_VALUES = "The request has wrong values; see errors."
UNAVAILABLE = "A database that this request needs does not answer. Try again in a moment."

# What a client sent is repeated in an error up to this number of characters. JSON needs up to 12 bytes for a character.
_SHOWN_CHARACTERS = 400
_SHOWN_STEP_CHARACTERS = 100
_ROOM_FOR_THE_REST = 200  # bytes of the key `errors` and of the words about errors that are not shown

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
    status: int, detail: str, *, errors: Iterable[FieldProblem] = (), headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Return a problem as a response of at most `MAX_BYTES`; it shows as many of the errors as fit, in their order."""
    body = Problem(
        type="about:blank", title=HTTPStatus(status).phrase, status=status, detail=_shortened(detail, _SHOWN_CHARACTERS)
    )
    room = MAX_BYTES - _size(body) - _ROOM_FOR_THE_REST
    for error in errors:
        room -= _size(error)
        if room < 0 or len(body.errors) == MAX_PROBLEMS:
            body.detail += f" Only the first {len(body.errors)} of more problems are shown."
            break
        body.errors.append(error)
    return JsonResponse(
        body.model_dump(exclude_defaults=True), status=status, content_type=CONTENT_TYPE, headers=headers
    )


def refused(
    request: HttpRequest, status: int, detail: str, *, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Return an error for any path: as a problem under /api, else as plain text."""
    if _is_api(request):
        return problem(status, detail, headers=headers)
    return HttpResponse(f"{detail}\n", status=status, content_type="text/plain; charset=utf-8", headers=headers)


def _size(model: Schema) -> int:
    """Return the number of bytes of the model in a response, with a separator."""
    return len(json.dumps(model.model_dump())) + len(", ")


def _shortened(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]}…"


def install(api: NinjaAPI) -> None:
    """Let the API answer with a problem to each exception that its views and their parameters raise."""
    for kind, handler in HANDLERS.items():
        api.add_exception_handler(kind, partial(_answer, handler))


def _answer(handler: Any, request: HttpRequest, error: Exception) -> HttpResponse:
    """Return the handler's answer, and let go of the parsed body.

    ninja keeps the error of the validation in a frame that this error's traceback refers to. Such a cycle would hold
    the values of a large body until the next full garbage collection.
    """
    response: HttpResponse = handler(request, error)
    failed: BaseException | None = error
    while failed is not None:
        clear_frames(failed.__traceback__)
        failed = failed.__cause__ or failed.__context__
    return response


def _refused(request: HttpRequest, error: HttpError) -> HttpResponse:
    # ninja turns each exception of the parser into a 400 without a reason; the parser's own error has the reason
    cause = error.__cause__ if isinstance(error.__cause__, HttpError) else error
    return problem(cause.status_code, cause.message)


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    return problem(422, WRONG_VALUES, errors=(_field_problem(item["loc"], item["msg"]) for item in error.errors))


def _refused_by_model(request: HttpRequest, error: ModelValidationError) -> HttpResponse:
    errors = (
        _field_problem(("body", "body") if field == NON_FIELD_ERRORS else ("body", "body", field), message)
        for field, messages in error.message_dict.items()
        for message in messages
    )
    return problem(422, WRONG_VALUES, errors=errors)


def _absent(request: HttpRequest, error: Exception) -> HttpResponse:
    return problem(404, f"Nothing is at {request.path}.")


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
    SuspiciousOperation: _suspicious,
    OperationalError: _unavailable,
    InterfaceError: _unavailable,
}


def _field_problem(loc: Sequence[str | int], detail: str) -> FieldProblem:
    """Return the problem at ninja's `loc`, with a JSON pointer (RFC 6901) into the body, the query or the path."""
    source, *path = loc
    if source == "body":
        path = [step for step in path[1:] if step not in SHAPES]  # the first step is the name of the view's parameter
    steps = [_shortened(str(step), _SHOWN_STEP_CHARACTERS).replace("~", "~0").replace("/", "~1") for step in path]
    return FieldProblem(
        source=str(source), pointer="/".join(["#", *steps]), detail=_shortened(detail, _SHOWN_CHARACTERS)
    )


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
    return refused(request, status, detail, headers=headers)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")
