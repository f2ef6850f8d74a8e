"""Bearer tokens of requests, compared in constant time. Makes no query."""

from collections.abc import Iterable
from hmac import compare_digest

from django.http import HttpRequest


def holds_token(request: HttpRequest, accepted: Iterable[str]) -> bool:
    """Return True if the header Authorization has one of these tokens; an empty token is none."""
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    matches = [compare_digest(sent.strip().encode(), token.encode()) for token in accepted if token]
    return scheme.lower() == "bearer" and any(matches)
