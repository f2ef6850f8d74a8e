"""Bearer tokens of requests, compared in constant time. No Django, so that the exporter stays small."""

from collections.abc import Iterable
from hmac import compare_digest


def holds_token(authorization: str, accepted: Iterable[str]) -> bool:
    """Return True if the value of a header Authorization has one of these tokens; an empty token is none."""
    scheme, _, sent = authorization.partition(" ")
    matches = [compare_digest(sent.strip().encode(), token.encode()) for token in accepted if token]
    return scheme.lower() == "bearer" and any(matches)
