"""/livez: the process serves requests. The answer needs no database, and every Host header is accepted."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

PATH = "/livez"


class LivezMiddleware:
    """Answer /livez before any other middleware handles the request.

    Put this middleware first:

        MIDDLEWARE = ["switchyard.health.middleware.LivezMiddleware", "switchyard.routing.RoutingMiddleware", ...]
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if request.path_info != PATH:
            return self._get_response(request)
        return self._respond_async() if self._is_async else _respond()

    async def _respond_async(self) -> HttpResponse:
        return _respond()


def _respond() -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain", headers={"Cache-Control": "no-store"})
