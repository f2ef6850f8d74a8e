"""Authentication of the API, by its token. It makes no query."""

import hmac

from django.conf import settings
from django.http import HttpRequest


def holds_token(request: HttpRequest) -> bool:
    """Tell whether the request has API_TOKEN as its bearer token. The comparison takes constant time."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    # WSGI decodes the bytes of a header as Latin-1; the token's bytes are UTF-8
    sent = token.strip().encode("latin-1", errors="backslashreplace")
    expected = settings.API_TOKEN.encode()
    return scheme.lower() == "bearer" and bool(expected) and hmac.compare_digest(sent, expected)


def is_staff(request: HttpRequest) -> bool:
    """Tell whether the request has the session of a staff member, which only a browser has."""
    return request.user.is_active and request.user.is_staff
