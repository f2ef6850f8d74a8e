"""Who may use the API: the holder of its token. No query is made to find out."""

import hmac

from django.conf import settings
from django.http import HttpRequest


def holds_token(request: HttpRequest) -> bool:
    """Tell whether the request bears API_TOKEN, in a time that does not depend on how much of it is right."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    # WSGI hands over a header's bytes as Latin-1; the token's own bytes are UTF-8
    sent = token.strip().encode("latin-1", errors="backslashreplace")
    expected = settings.API_TOKEN.encode()
    return scheme.lower() == "bearer" and bool(expected) and hmac.compare_digest(sent, expected)


def is_staff(request: HttpRequest) -> bool:
    """Tell whether the request comes from a signed-in member of the staff, as a browser's does."""
    return request.user.is_active and request.user.is_staff
