"""The request's side of routing: what holds for one request, and what its client carries to the next one."""

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
_IN_META = "HTTP_SWITCHYARD_POSITION"  # asking `request.headers` would copy all of them
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class RoutingMiddleware:
    """Give each request fresh routing state, with what its client carries, and hand on what the client owes then.

    Put it first, so that it sees what all others wrote. Judges the replicas as long as the process serves.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: _View) -> None:
        self.get_response = timed(get_response) if conf.server_timing else get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        monitor.ensure_running()

    def __call__(self, asked: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer_async(asked)
        state, sent = _arrived(asked)
        with activate(state):
            response = cast(HttpResponseBase, self.get_response(asked))
            return _leaving(state, sent, asked, response)

    async def _answer_async(self, asked: HttpRequest) -> HttpResponseBase:
        state, sent = _arrived(asked)
        with activate(state):
            response = await cast(Awaitable[HttpResponseBase], self.get_response(asked))
            if state.consistency.is_empty:
                return _leaving(state, sent, asked, response)
            return await sync_to_async(_leaving)(state, sent, asked, response)

    def process_view(self, asked: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """Read what the admin lets people edit from the owner: one object's page, and a list edited in place."""
        match = asked.resolver_match
        if match is not None and "admin" in match.app_names and ("object_id" in kwargs or _edits_list(match)):
            push(current().derive(preference="primary"))


def _edits_list(match: ResolverMatch) -> bool:
    # Django's admin leaves the ModelAdmin on each of its views.
    listed = str(match.url_name).endswith("_changelist")
    return listed and bool(getattr(getattr(match.func, "model_admin", None), "list_editable", ()))


def _arrived(asked: HttpRequest) -> tuple[RoutingContext, str]:
    ledger, sent = accept_tokens((asked.COOKIES.get(COOKIE, ""), asked.META.get(_IN_META, "")))
    return request_context(unsafe_method=asked.method not in _SAFE, consistency=ledger), sent


def _leaving(state: RoutingContext, sent: str, asked: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    ledger = state.consistency
    token = "" if ledger.is_empty else issue_token(ledger)
    if token != sent or (not token and (COOKIE in asked.COOKIES or _IN_META in asked.META)):
        _hand_over(token, asked, response)
    if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
        _hold_while_streaming(state, response)
    return response


def _hand_over(token: str, asked: HttpRequest, response: HttpResponseBase) -> None:
    if token or _IN_META in asked.META:
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
    elif COOKIE in asked.COOKIES:
        response.delete_cookie(
            COOKIE, path=settings.SESSION_COOKIE_PATH, domain=settings.SESSION_COOKIE_DOMAIN, samesite="Lax"
        )
    # A shared cache must not hand one client's position to another.
    patch_vary_headers(response, ("Cookie",))


def _hold_while_streaming(state: RoutingContext, response: StreamingHttpResponse) -> None:
    """Let the body be made in the request's state, though it is made when the request is over."""
    content = response.streaming_content
    response.streaming_content = (
        aiterate_in_context(cast(AsyncIterator[bytes], content), lambda: push(state))
        if response.is_async
        else iterate_in_context(cast(Iterator[bytes], content), lambda: push(state))
    )
