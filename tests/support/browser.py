"""A browser's cookie jar, for requests of one client that are under way at the same time."""

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import RequestFactory

from switchyard.routing.contrib.client_tokens import COOKIE, HEADER

CONNECTIONS = 6  # that a browser opens to one host over HTTP/1.1, for all of its tabs


class Browser:
    """The cookies of one browser. A request carries those of its start; a response changes them as it arrives."""

    def __init__(self) -> None:
        self.cookies: dict[str, str] = {}

    def request(self, method: str = "GET", path: str = "/", *, header: str | None = None) -> HttpRequest:
        """Return a request with the cookies of now."""
        sent: dict[str, Any] = {"HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        headers = {} if header is None else {HEADER: header}
        request: HttpRequest = RequestFactory().generic(method, path, headers=headers, **sent)
        return request

    def receive(self, response: HttpResponseBase) -> None:
        """Keep and delete cookies as the response says."""
        for name, morsel in response.cookies.items():
            if morsel["max-age"] == 0:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value

    def tokens(self) -> dict[str, str]:
        """Return the cookies with tokens."""
        return {name: value for name, value in self.cookies.items() if name.startswith(COOKIE)}

    def token_bytes(self) -> int:
        """Return the size of these cookies in the header of a request."""
        return sum(len(f"{name}={value}; ") for name, value in self.tokens().items())
