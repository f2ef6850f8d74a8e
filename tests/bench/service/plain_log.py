"""The log line of a request as a project without Switchyard would write it: the same line, its databases wired."""

import logging
import time
from collections.abc import Callable
from uuid import uuid4

from django.http import HttpRequest, HttpResponse

logger = logging.getLogger(__name__)

_DATABASES = {"replica": {"queries": 1, "seconds": 0.000321, "decisions": {"replica": 1}}}


def plain_log(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Log each request with the attributes of `switchyard.telemetry.request_log`."""

    def respond(request: HttpRequest) -> HttpResponse:
        began_at = time.perf_counter()
        response = get_response(request)
        request_id = request.headers.get("X-Request-ID") or uuid4().hex
        response.headers["X-Request-ID"] = request_id
        logger.info(
            "request",
            extra={
                "request_id": request_id,
                "method": request.method,
                "route": request.resolver_match.route if request.resolver_match else None,
                "status": response.status_code,
                "seconds": round(time.perf_counter() - began_at, 6),
                "databases": _DATABASES,
            },
        )
        return response

    return respond
