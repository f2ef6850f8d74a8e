"""The routing context of a request, and the token that its client carries to the next request."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch
from django.utils.cache import patch_vary_headers

from switchyard.conf import conf
from switchyard.routing.contrib.server_timing import timed
from switchyard.routing.monitor import monitor
from switchyard.routing.session.context import RoutingContext, activate, current, push, request_context
from switchyard.routing.session.iteration import aiterate_in_context, iterate_in_context
from switchyard.routing.session.transfer import accept_tokens, issue_token

type _View = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]

COOKIE = "switchyard_position"
HEADER = "Switchyard-Position"
_META_KEY = "HTTP_SWITCHYARD_POSITION"  # `request.headers` would copy all headers
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class RoutingMiddleware:
    """Run each request in a routing context of its own, and carry its required positions to the client's next request.

    The token comes and goes in the cookie `switchyard_position` and in the header `Switchyard-Position`. Put the
    middleware before every middleware that uses a database; checks W003 and W004 warn otherwise. It also starts
    the monitor of the process. When a response leaves, it sends one query to each owner that the request wrote, or read
    in place of a replica, and none for other requests. Works under WSGI and ASGI. In the settings:

        MIDDLEWARE = ["switchyard.routing.RoutingMiddleware", *MIDDLEWARE]
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: _View) -> None:
        self.get_response = timed(get_response) if conf.server_timing else get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        monitor.ensure_running()

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._respond_async(request)
        context, received = _begin(request)
        with activate(context):
            response = cast(HttpResponseBase, self.get_response(request))
            return _finish(context, received, request, response)

    async def _respond_async(self, request: HttpRequest) -> HttpResponseBase:
        context, received = _begin(request)
        with activate(context):
            response = await cast(Awaitable[HttpResponseBase], self.get_response(request))
            if context.consistency.is_empty:  # no query: a thread would cost more than the rest
                return _finish(context, received, request, response)
            return await sync_to_async(_finish)(context, received, request, response)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """Read from the owner in the admin's pages that edit: the page of one object, and a list with `list_editable`.

        A form with stale values would overwrite newer values when it is saved.
        """
        match = request.resolver_match
        if match is not None and "admin" in match.app_names and ("object_id" in kwargs or _edits_list(match)):
            push(current().derive(preference="primary"))


def _edits_list(match: ResolverMatch) -> bool:
    # Django's admin sets `model_admin` on each of its views.
    is_list = str(match.url_name).endswith("_changelist")
    return is_list and bool(getattr(getattr(match.func, "model_admin", None), "list_editable", ()))


def _begin(request: HttpRequest) -> tuple[RoutingContext, str]:
    """Return the context of the request, and the token that the client sent, its parts merged."""
    consistency, received = accept_tokens((request.COOKIES.get(COOKIE, ""), request.META.get(_META_KEY, "")))
    return request_context(unsafe_method=request.method not in _SAFE_METHODS, consistency=consistency), received


def _finish(
    context: RoutingContext, received: str, request: HttpRequest, response: HttpResponseBase
) -> HttpResponseBase:
    """Put a changed token on the response, and let a streaming body run in the request's context."""
    consistency = context.consistency
    token = "" if consistency.is_empty else issue_token(consistency)
    if token != received or (not token and (COOKIE in request.COOKIES or _META_KEY in request.META)):
        _set_token(token, request, response)
    if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
        _stream_in_context(context, response)
    return response


def _set_token(token: str, request: HttpRequest, response: HttpResponseBase) -> None:
    """Set header and cookie; an empty token empties the header and deletes the cookie if the client sent them."""
    if token or _META_KEY in request.META:
        response.headers[HEADER] = token
    if token:
        response.set_cookie(
            COOKIE,
            token,
            httponly=True,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
            path=settings.SESSION_COOKIE_PATH,
            domain=settings.SESSION_COOKIE_DOMAIN,
        )
    elif COOKIE in request.COOKIES:
        response.delete_cookie(
            COOKIE, path=settings.SESSION_COOKIE_PATH, domain=settings.SESSION_COOKIE_DOMAIN, samesite="Lax"
        )
    # A shared cache must not give the token of one client to another client.
    patch_vary_headers(response, ("Cookie",))


def _stream_in_context(context: RoutingContext, response: StreamingHttpResponse) -> None:
    """Run each step of the body in the request's context, although the request has ended before the first step."""
    content = response.streaming_content
    response.streaming_content = (
        aiterate_in_context(cast(AsyncIterator[bytes], content), lambda: push(context))
        if response.is_async
        else iterate_in_context(cast(Iterator[bytes], content), lambda: push(context))
    )
