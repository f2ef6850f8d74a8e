"""The request's side of routing: what holds for one request and for nothing after it."""

from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from switchyard.routing import replicas, state

type _View = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class RoutingMiddleware:
    """Give each request fresh routing state, and judge the replicas as long as the process serves."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: _View) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        replicas.watch()

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer_async(request)
        with state.request():
            return self.get_response(request)

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        with state.request():
            return await cast(Awaitable[HttpResponseBase], self.get_response(request))
