"""The token that a client carries from one request to the next: encrypted text with one entry for each owner.

An entry names the owner, the required position or a time before which everything must be seen, the replica read last,
and a fingerprint of the server read last if several servers are behind one alias. When an entry is made or believed is
in `transfer.py`.

A token begins with the identifier of its key. AES-SIV encrypts and authenticates the rest without a random number, so
the same positions make the same token: concurrent responses with equal content share one cookie. A time, and a replica
or server read last, mean something else in each response. A token with one of these contains a random number: whoever
removes the token of one answer must not remove the token of another.
https://www.rfc-editor.org/rfc/rfc5297
"""

import secrets
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from django.conf import settings

from switchyard.positions import Position, parse, serialize
from switchyard.routing.session.consistency import unix_time

MAX_LENGTH = 224  # characters; eight cookies with their names have at most 2 KB in a request
ALL_OWNERS = "*"  # as the owner of an entry: every owner with replicas
_KEY_ID_BYTES = 3
_TAG_BYTES = 16
_RANDOM = "#"  # begins the line with the random number
_ID_CHARACTERS = slice(4, 12)  # of a token: 48 bits of its tag
_UNKNOWN = "?"
_ACCEPTED = "!"  # after an unknown position of statements that failed, before the position that was required before
_PERSON = b"switchyard.2"  # separates these hashes from all other uses of the key
# Texts that tokens often contain. With them zlib makes short tokens shorter.
_DICTIONARY = b"replica\t\n0123456789abcdef-ABCDEF:,/?1domains=gtids=analytics\tlsn=7legacy\tlsn=7default\tlsn=7/1/"
_WINDOW_BITS = -9  # the smallest window, without a header


class TokenEntry(NamedTuple):
    """The part of a token about one owner."""

    owner: str
    position: Position | None = None  # the required position
    written_before: int | None = None  # Unix time, if a position is required and unknown: everything before is required
    last_replica: str = ""  # the alias of the replica read last
    server: str = ""  # the fingerprint of the server read last
    # Only statements that failed may have written before that time; `position` is what was required before them.
    is_uncertain: bool = False


class TokenError(ValueError):
    """The token was not made with a key of this service, or another version of Switchyard made it."""


class UnknownKeyError(TokenError):
    """The token was made with another key, perhaps of a process that has a newer or an older SECRET_KEY."""


def encode(entries: Iterable[TokenEntry]) -> str:
    """Return the token of the entries; empty without entries.

    If it is too long, positions become unknown, the longest first; then one entry stands for all owners.
    """
    kept = list(entries)
    if not kept:
        return ""
    token = _encrypted(kept)
    while len(token) > MAX_LENGTH:
        longest = max(kept, key=lambda entry: len(_text(entry)) if entry.position is not None else 0)
        if longest.position is not None:
            kept[kept.index(longest)] = TokenEntry(longest.owner, written_before=unix_time())
        else:
            kept = [TokenEntry(ALL_OWNERS, written_before=max(each.written_before or unix_time() for each in kept))]
        token = _encrypted(kept)
    return token


def decode(token: str) -> list[TokenEntry]:
    """Return the entries of the token. Raises TokenError."""
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except ValueError as error:
        raise TokenError("The token is not base64.") from error
    if _base64(raw) != token:  # with characters that Python ignores, or bits after the last byte
        raise TokenError("The token is not in the form that this service writes.")
    if len(raw) <= _KEY_ID_BYTES + _TAG_BYTES:
        raise TokenError("The token is too short.")
    key_id, encrypted = raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:]
    cipher = _ciphers().get(key_id)
    if cipher is None:
        raise UnknownKeyError("The token was made with a key that this service does not have.")
    try:
        text = cipher.decrypt(encrypted, [key_id])
    except InvalidTag as error:
        raise TokenError("The token was not made with the key that it names.") from error
    try:
        lines = _decompressed(text).decode().split("\n")
        return [_entry(*line.split("\t")) for line in lines if not line.startswith(_RANDOM)]
    except (ValueError, TypeError, zlib.error) as error:
        raise TokenError("Another version of Switchyard made the token.") from error


def token_id(token: str) -> str:
    """Return a short text that belongs to the content of the token: two tokens share it only if they are equal."""
    return token[_ID_CHARACTERS]


def server_fingerprint(server: str) -> str:
    """Return the fingerprint of a server for a token, where the address would take too much space."""
    return blake2b(server.encode(), digest_size=6, person=_PERSON).hexdigest()


def _entry(owner: str, position: str, last_replica: str, server: str = "") -> TokenEntry:
    if position.startswith(_UNKNOWN):
        time, uncertain, accepted = position.removeprefix(_UNKNOWN).partition(_ACCEPTED)
        known = parse(accepted) if accepted else None
        return TokenEntry(owner, known, int(time), last_replica, server, is_uncertain=bool(uncertain))
    return TokenEntry(owner, parse(position) if position else None, None, last_replica, server)


def _text(entry: TokenEntry) -> str:
    owner, position, written_before, last_replica, server, is_uncertain = entry
    required = serialize(position) if position is not None else ""
    if written_before is not None:
        required = f"{_UNKNOWN}{written_before}{_ACCEPTED + required if is_uncertain else ''}"
    return f"{owner}\t{required}\t{last_replica}" + (f"\t{server}" if server else "")


def _encrypted(entries: list[TokenEntry]) -> str:
    lines = [_text(entry) for entry in entries]
    if any(entry != TokenEntry(entry.owner, entry.position) for entry in entries):
        lines.append(_RANDOM + secrets.token_urlsafe(6))
    key_id, cipher = next(iter(_ciphers().items()))
    compressor = zlib.compressobj(9, zlib.DEFLATED, _WINDOW_BITS, 1, zdict=_DICTIONARY)
    text = compressor.compress("\n".join(lines).encode()) + compressor.flush()
    return _base64(key_id + cipher.encrypt(text, [key_id]))


def _decompressed(text: bytes) -> bytes:
    return zlib.decompressobj(_WINDOW_BITS, zdict=_DICTIONARY).decompress(text)


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _ciphers() -> dict[bytes, AESSIV]:
    """Return the cipher of each key by the key's identifier, the key for new tokens first."""
    return _ciphers_of((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=8)
def _ciphers_of(keys: tuple[str | bytes, ...]) -> dict[bytes, AESSIV]:
    ciphers: dict[bytes, AESSIV] = {}
    for key in keys:
        secret = key if isinstance(key, bytes) else key.encode()
        key_id = blake2b(secret, digest_size=_KEY_ID_BYTES, person=_PERSON + b".id").digest()
        ciphers.setdefault(key_id, AESSIV(blake2b(secret, digest_size=64, person=_PERSON).digest()))
    return ciphers
