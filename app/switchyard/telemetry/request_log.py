"""One line of the log for each request, and the number of its queries by alias."""

import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast
from uuid import uuid4

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from switchyard.routing.connections.annotations import trace_id_of
from switchyard.routing.contrib.request_record import RequestRecord, install, recording
from switchyard.telemetry import counters, metrics

logger = logging.getLogger(__name__)

HEADER = "X-Request-ID"
_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)


class RequestLogMiddleware:
    """Log each request when its response leaves: its route, status and seconds, and its work on each alias.

    The record has these attributes: `request_id`, which the client sent as `X-Request-ID` or which is new, and which
    the response has as well; `trace_id` of the running trace, or of a `traceparent`; `method`; `route`, the pattern of
    the URL; `status`; `seconds`; and `databases`: alias -> `queries`, `seconds`, and `decisions` by rule. Requests of
    health probes are logged with the level DEBUG. Queries of a streaming body are not in the record. Put the middleware
    before RoutingMiddleware, whose own queries then count. No query. In the settings:

        MIDDLEWARE = ["switchyard.telemetry.request_log.RequestLogMiddleware", *MIDDLEWARE]
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        install()

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._respond_async(request)
        began_at = time.perf_counter()
        with recording() as record:
            response = cast(HttpResponseBase, self._get_response(request))
        return _finish(request, response, record, time.perf_counter() - began_at)

    async def _respond_async(self, request: HttpRequest) -> HttpResponseBase:
        began_at = time.perf_counter()
        with recording() as record:
            response = await cast(Awaitable[HttpResponseBase], self._get_response(request))
        return _finish(request, response, record, time.perf_counter() - began_at)


def _finish(
    request: HttpRequest, response: HttpResponseBase, record: RequestRecord, seconds: float
) -> HttpResponseBase:
    for alias, queries in record.queries.items():
        counters.current().observe(metrics.REQUEST_QUERIES, alias, value=queries)
    level = logging.DEBUG if _is_probe(request) else logging.INFO
    request_id = _request_id(request)
    response.headers[HEADER] = request_id
    if logger.isEnabledFor(level):
        logger.log(level, "request", extra=_attributes(request, response, record, seconds, request_id))
    return response


def _attributes(
    request: HttpRequest, response: HttpResponseBase, record: RequestRecord, seconds: float, request_id: str
) -> dict[str, Any]:
    trace_id = trace_id_of(request)
    databases = {
        alias: {
            "queries": record.queries[alias],
            "seconds": round(record.seconds[alias], 6),
            "decisions": dict(record.rules[alias]),
        }
        for alias in record.aliases()
    }
    return {
        "request_id": request_id,
        **({"trace_id": trace_id} if trace_id else {}),
        "method": request.method,
        "route": request.resolver_match.route if request.resolver_match else None,
        "status": response.status_code,
        "seconds": round(seconds, 6),
        "databases": databases,
    }


def _request_id(request: HttpRequest) -> str:
    sent = request.headers.get(HEADER, "")
    return sent if _REQUEST_ID.fullmatch(sent) else uuid4().hex


def _is_probe(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is not None and getattr(match.func, "__module__", "").startswith("switchyard.health")
