"""Keep answers of the API out of caches: rows of one moment, read with a token."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase


def api_cache_control(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Add `Cache-Control: private, no-store` to each answer below /api, errors included, unless its view has set it."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if f"{request.path_info}/".startswith("/api/"):
            response.headers.setdefault("Cache-Control", "private, no-store")
        return response

    return respond
