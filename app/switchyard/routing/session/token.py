"""The token that a client carries from one request to the next: signed text with one entry for each owner.

An entry names the owner, the required position (`?` if it is unknown), the replica read last, and a fingerprint of the
server read last if several servers are behind one alias. When an entry is made or believed is in `transfer.py`.

The signature is a keyed BLAKE2b. It takes microseconds, a pair of Django's signed cookies a hundred.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from django.conf import settings

from switchyard.positions import Position, parse, serialize

MAX_LENGTH = 900  # characters; with its name and attributes the cookie stays below 1 KB
_SIGNATURE_BYTES = 16
_UNKNOWN = "?"
_PERSON = b"switchyard.1"  # separates these hashes from all other uses of the key


class TokenEntry(NamedTuple):
    """The part of a token about one owner."""

    owner: str
    position: Position | None  # the required position
    unknown: bool = False  # a position is required, and it is unknown
    last_replica: str = ""  # the alias of the replica read last
    server: str = ""  # the fingerprint of the server read last


class TokenError(ValueError):
    """The token was not made with a key of this service, or another version of Switchyard made it."""


def encode(entries: Iterable[TokenEntry]) -> str:
    """Return the token of the entries; empty without entries. If it is too long, all positions become unknown."""
    entries = list(entries)
    if not entries:
        return ""
    token = _signed(entries)
    if len(token) <= MAX_LENGTH:
        return token
    return _signed([entry._replace(position=None, unknown=True) for entry in entries])


def decode(token: str) -> list[TokenEntry]:
    """Return the entries of the token. Raises TokenError."""
    if len(token) > MAX_LENGTH:
        raise TokenError(f"The token is longer than {MAX_LENGTH} characters.")
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except ValueError as error:
        raise TokenError("The token is not base64.") from error
    if _base64(raw) != token:  # with characters that Python ignores, or bits after the last byte
        raise TokenError("The token is not in the form that this service writes.")
    signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    if not any(hmac.compare_digest(signature, _signature(payload, key)) for key in keys):
        raise TokenError("The signature of the token is of no key of this service.")
    try:
        return [_entry(*text.split("\t")) for text in payload.decode().split("\n")]
    except (ValueError, TypeError) as error:
        raise TokenError("Another version of Switchyard made the token.") from error


def server_fingerprint(server: str) -> str:
    """Return the fingerprint of a server for a token: clients can read tokens, and must not learn addresses."""
    return blake2b(server.encode(), digest_size=6, key=_derived(settings.SECRET_KEY), person=_PERSON).hexdigest()


def _entry(owner: str, position: str, last_replica: str, server: str = "") -> TokenEntry:
    known = position not in {"", _UNKNOWN}
    return TokenEntry(owner, parse(position) if known else None, position == _UNKNOWN, last_replica, server)


def _signed(entries: list[TokenEntry]) -> str:
    payload = "\n".join(
        f"{owner}\t{_position_text(position, unknown)}\t{last_replica}" + (f"\t{server}" if server else "")
        for owner, position, unknown, last_replica, server in entries
    )
    raw = payload.encode()
    return _base64(_signature(raw, settings.SECRET_KEY) + raw)


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _position_text(position: Position | None, unknown: bool) -> str:
    return _UNKNOWN if unknown else serialize(position) if position is not None else ""


def _signature(payload: bytes, key: str | bytes) -> bytes:
    return blake2b(payload, digest_size=_SIGNATURE_BYTES, key=_derived(key), person=_PERSON).digest()


@lru_cache(maxsize=8)
def _derived(key: str | bytes) -> bytes:
    return blake2b(key if isinstance(key, bytes) else key.encode(), digest_size=32, person=_PERSON).digest()
