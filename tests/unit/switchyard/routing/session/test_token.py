"""Tokens: a token decodes to its entries, or is refused."""

import random
import string
from contextlib import suppress

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from switchyard.positions.mysql import MySQLGtidSet
from switchyard.positions.postgresql import Lsn
from switchyard.routing.contrib.middleware import COOKIE
from switchyard.routing.session import token
from switchyard.routing.session.token import MAX_LENGTH, TokenEntry, TokenError, decode, encode

names = st.text(st.characters(exclude_characters="\t\n", exclude_categories=["Cs"]), max_size=12)
lsns = st.builds(Lsn, st.integers(1, 2**63).map(str), st.integers(1, 99), st.integers(0, 2**64 - 1))
entry_lists = st.lists(
    st.one_of(
        st.builds(TokenEntry, names, lsns, st.just(False), names, names),
        st.builds(TokenEntry, names, st.none(), st.booleans(), names, names),
    ),
    min_size=1,
    max_size=3,
)
BASE64 = string.ascii_letters + string.digits + "-_"


@given(entry_lists)
def test_encode__any_entries(entries: list[TokenEntry]) -> None:
    """The token of any entries decodes to the same entries."""
    assert decode(encode(entries)) == entries


def test_encode__no_entries() -> None:
    """The token of no entries is empty."""
    assert encode([]) == ""


@given(entry_lists, st.data())
def test_decode__flipped_bit(entries: list[TokenEntry], data: st.DataObject) -> None:
    """A token with a flipped bit is refused, also if base64 does not use the bit."""
    sent = encode(entries)
    place = data.draw(st.integers(0, len(sent) - 1))
    flipped = chr(ord(sent[place]) ^ (1 << data.draw(st.integers(0, 6))))

    with pytest.raises(TokenError):
        decode(sent[:place] + flipped + sent[place + 1 :])


@given(entry_lists, st.data())
def test_decode__truncated_token(entries: list[TokenEntry], data: st.DataObject) -> None:
    """A truncated token is refused."""
    sent = encode(entries)

    with pytest.raises(TokenError):
        decode(sent[: data.draw(st.integers(0, len(sent) - 1))])


@given(entry_lists, st.text(min_size=1, max_size=8))
def test_decode__extended_token(entries: list[TokenEntry], more: str) -> None:
    """A token with more text at its end is refused, also if base64 ignores the text."""
    with pytest.raises(TokenError):
        decode(encode(entries) + more)


@given(st.one_of(st.text(), st.text(BASE64)))
def test_decode__any_text(text: str) -> None:
    """Any other text raises TokenError, and no other error."""
    with pytest.raises(TokenError):
        decode(text)


def test_decode__very_long_text() -> None:
    """A very long text is refused by its length."""
    with pytest.raises(TokenError, match=f"longer than {MAX_LENGTH}"):
        decode("A" * 100_000)


@given(st.text("\t\n?=/:-,lsngtid0123456789abcdef\udcff", max_size=60))
def test_decode__signed_text_of_another_version(payload: str) -> None:
    """A signed text without valid entries raises TokenError, and no other error."""
    raw = payload.encode(errors="surrogateescape")
    found: list[TokenEntry] = []
    with suppress(TokenError):
        found = decode(token._base64(token._signature(raw, settings.SECRET_KEY) + raw))

    assert all(isinstance(entry, TokenEntry) for entry in found)


@given(entry_lists)
def test_decode__other_key(entries: list[TokenEntry]) -> None:
    """A token that another key signed is refused."""
    with override_settings(SECRET_KEY="another"):
        sent = encode(entries)

    with pytest.raises(TokenError, match="of no key"):
        decode(sent)


@given(entry_lists)
def test_decode__fallback_key(entries: list[TokenEntry]) -> None:
    """A token of a fallback key is accepted; the new key signs new tokens."""
    sent = encode(entries)

    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["older", settings.SECRET_KEY]):
        assert decode(sent) == entries
        renewed = encode(entries)
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[]):
        assert decode(renewed) == entries


def test_encode__too_long_position() -> None:
    """The position becomes unknown, and the replica read last stays."""
    gaps = ":".join(f"{number}" for number in range(1, 999, 2))
    position = MySQLGtidSet.parse(f"3e11fa47-71ca-11e1-9e33-c80aa9429562:{gaps}")

    assert decode(encode([TokenEntry("default", position, last_replica="replica")])) == [
        TokenEntry("default", None, unknown=True, last_replica="replica")
    ]


@given(st.integers(1, 1200), st.integers(0, 2**32))
def test_encode__size_of_the_cookie(length: int, seed: int) -> None:
    """With its name and attributes the cookie has at most 1 KB, for positions of any length."""
    chooser = random.Random(seed)
    numbers = sorted(chooser.sample(range(1, 10**6, 2), k=length))
    position = MySQLGtidSet.parse("3e11fa47-71ca-11e1-9e33-c80aa9429562:" + ":".join(map(str, numbers)))
    response = HttpResponse()
    response.set_cookie(
        COOKIE,
        encode([TokenEntry("default", position, last_replica="replica")]),
        httponly=True,
        samesite="Lax",
        secure=True,
        path="/",
        domain="switchyard.example.com",
    )

    assert len(response.cookies[COOKIE].OutputString()) <= 1024


def test_encode__any_length_of_the_position() -> None:
    """The token is never too long for decode()."""
    for length in range(1, 400):
        position = MySQLGtidSet.parse("a:" + ":".join(str(2 * number) for number in range(1, length + 1)))
        (entry,) = decode(encode([TokenEntry("default", position)]))

        assert entry in {TokenEntry("default", position), TokenEntry("default", None, unknown=True)}
