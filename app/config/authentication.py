"""Authentication of the API, by its token. It makes no query."""

from hmac import compare_digest

from django.conf import settings
from django.http import HttpRequest


def holds_token(request: HttpRequest) -> bool:
    """Tell whether the bearer token of the request is API_TOKEN or one of API_TOKEN_FALLBACKS.

    The time does not say which one: each is compared, and each comparison takes constant time.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    # WSGI decodes the bytes of a header as Latin-1; the token's bytes are UTF-8
    sent = token.strip().encode("latin-1", errors="backslashreplace")
    accepted = [token.encode() for token in (settings.API_TOKEN, *settings.API_TOKEN_FALLBACKS) if token]
    matches = [compare_digest(sent, token) for token in accepted]
    return scheme.lower() == "bearer" and any(matches)


def is_staff(request: HttpRequest) -> bool:
    """Tell whether the request has the session of a staff member, which only a browser has."""
    return request.user.is_active and request.user.is_staff
