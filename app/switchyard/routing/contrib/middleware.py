"""The routing context of a request, and the token that its client carries to the next request."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch

from switchyard.conf import conf
from switchyard.routing.contrib.client_tokens import ClientTokens
from switchyard.routing.contrib.server_timing import timed
from switchyard.routing.monitor import monitor
from switchyard.routing.session.context import RoutingContext, activate, current, push, request_context
from switchyard.routing.session.iteration import aiterate_in_context, iterate_in_context

type _View = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class RoutingMiddleware:
    """Run each request in a routing context of its own, and carry its required positions to the client's next request.

    Tokens come and go in cookies whose names begin with `switchyard_position`, and in the header `Switchyard-Position`.
    A response with `Cache-Control: public` gets none, because shared caches keep it for all clients. Put the middleware
    before every middleware that uses a database; checks W003 and W004 warn otherwise. It also starts
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
        context, tokens = _begin(request)
        with activate(context):
            response = cast(HttpResponseBase, self.get_response(request))
            return _finish(context, tokens, response)

    async def _respond_async(self, request: HttpRequest) -> HttpResponseBase:
        context, tokens = _begin(request)
        with activate(context):
            response = await cast(Awaitable[HttpResponseBase], self.get_response(request))
            if context.consistency.is_empty:  # no query: a thread would cost more than the rest
                return _finish(context, tokens, response)
            return await sync_to_async(_finish)(context, tokens, response)

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


def _begin(request: HttpRequest) -> tuple[RoutingContext, ClientTokens]:
    """Return the context of the request, and the tokens that the client sent."""
    tokens = ClientTokens(request)
    unsafe = request.method not in _SAFE_METHODS
    return request_context(request=request, unsafe_method=unsafe, consistency=tokens.consistency), tokens


def _finish(context: RoutingContext, tokens: ClientTokens, response: HttpResponseBase) -> HttpResponseBase:
    """Put a changed token on the response, and let a streaming body run in the request's context."""
    tokens.put_on(response)
    if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
        _stream_in_context(context, response)
    return response


def _stream_in_context(context: RoutingContext, response: StreamingHttpResponse) -> None:
    """Run each step of the body in the request's context, although the request has ended before the first step."""
    content = response.streaming_content
    response.streaming_content = (
        aiterate_in_context(cast(AsyncIterator[bytes], content), lambda: push(context))
        if response.is_async
        else iterate_in_context(cast(Iterator[bytes], content), lambda: push(context))
    )
