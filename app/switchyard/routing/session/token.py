"""What a client carries from one request to the next: signed, self-contained text, a line for each owner.

A line names the owner, the position that its replicas must have replayed (`?` where nobody knows it), and the replica
read last, with a mark of its server where several are behind one alias. Signing is keyed blake2b, which takes
microseconds; a pair of Django's signed cookies takes a hundred.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from django.conf import settings

from switchyard.positions import Position, parse, serialize

MAX_LENGTH = 900  # characters; the cookie's name and attributes come to less than the rest of 1 KB
_SIGNATURE = 16  # bytes
_UNKNOWN = "?"
_PERSON = b"switchyard.1"


class TokenEntry(NamedTuple):
    """What is carried for one owner."""

    owner: str
    position: Position | None  # that its replicas must have replayed
    unknown: bool = False  # they must have replayed something, and nobody knows what
    last_replica: str = ""  # the replica read last
    server: str = ""  # the mark of the server read last


class TokenError(ValueError):
    """The token was not made with one of this service's keys, or not by this version."""


def encode(lines: Iterable[TokenEntry]) -> str:
    """Return the token of these lines; no lines have none. A position too long to carry is carried as unknown."""
    lines = list(lines)
    if not lines:
        return ""
    token = _signed(lines)
    return (
        token if len(token) <= MAX_LENGTH else _signed([line._replace(position=None, unknown=True) for line in lines])
    )


def decode(token: str) -> list[TokenEntry]:
    """Return the token's lines. Raises TokenError."""
    if len(token) > MAX_LENGTH:
        raise TokenError(f"It is longer than {MAX_LENGTH} characters.")
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except ValueError as error:
        raise TokenError("It is no base64.") from error
    if _base64(raw) != token:  # characters that Python passes over, and bits behind the last byte
        raise TokenError("It is not as this service writes it.")
    signature, payload = raw[:_SIGNATURE], raw[_SIGNATURE:]
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    if not any(hmac.compare_digest(signature, _signature(payload, key)) for key in keys):
        raise TokenError("Its signature is of no key of this service.")
    try:
        return [_line(*text.split("\t")) for text in payload.decode().split("\n")]
    except (ValueError, TypeError) as error:
        raise TokenError("Another version made it.") from error


def server_fingerprint(server: str) -> str:
    """Return what a token says of a server: its text can be read, and an address is nobody's business."""
    return blake2b(server.encode(), digest_size=6, key=_derived(settings.SECRET_KEY), person=_PERSON).hexdigest()


def _line(owner: str, position: str, last: str, server: str = "") -> TokenEntry:
    known = position not in {"", _UNKNOWN}
    return TokenEntry(owner, parse(position) if known else None, position == _UNKNOWN, last, server)


def _signed(lines: list[TokenEntry]) -> str:
    payload = "\n".join(
        f"{owner}\t{_text(position, unknown)}\t{last}" + (f"\t{server}" if server else "")
        for owner, position, unknown, last, server in lines
    )
    raw = payload.encode()
    return _base64(_signature(raw, settings.SECRET_KEY) + raw)


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _text(position: Position | None, unknown: bool) -> str:
    return _UNKNOWN if unknown else serialize(position) if position is not None else ""


def _signature(payload: bytes, key: str | bytes) -> bytes:
    return blake2b(payload, digest_size=_SIGNATURE, key=_derived(key), person=_PERSON).digest()


@lru_cache(maxsize=8)
def _derived(key: str | bytes) -> bytes:
    return blake2b(key if isinstance(key, bytes) else key.encode(), digest_size=32, person=_PERSON).digest()
