"""Tokens: they come back as they were sent, or not at all."""

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
lines = st.lists(
    st.one_of(
        st.builds(TokenEntry, names, lsns, st.just(False), names, names),
        st.builds(TokenEntry, names, st.none(), st.booleans(), names, names),
    ),
    min_size=1,
    max_size=3,
)
BASE64 = string.ascii_letters + string.digits + "-_"


@given(lines)
def test_token__any_lines(carried: list[TokenEntry]) -> None:
    """They come back as they were."""
    assert decode(encode(carried)) == carried


def test_token__no_lines() -> None:
    """They make no token."""
    assert encode([]) == ""


@given(lines, st.data())
def test_decode__a_flipped_bit(carried: list[TokenEntry], data: st.DataObject) -> None:
    """It is refused, wherever the bit is: in the last character's unused ones as well."""
    sent = encode(carried)
    place = data.draw(st.integers(0, len(sent) - 1))
    flipped = chr(ord(sent[place]) ^ (1 << data.draw(st.integers(0, 6))))

    with pytest.raises(TokenError):
        decode(sent[:place] + flipped + sent[place + 1 :])


@given(lines, st.data())
def test_decode__a_truncated_token(carried: list[TokenEntry], data: st.DataObject) -> None:
    """It is refused."""
    sent = encode(carried)

    with pytest.raises(TokenError):
        decode(sent[: data.draw(st.integers(0, len(sent) - 1))])


@given(lines, st.text(min_size=1, max_size=8))
def test_decode__more_behind_it(carried: list[TokenEntry], more: str) -> None:
    """It is refused, characters that base64 passes over included."""
    with pytest.raises(TokenError):
        decode(encode(carried) + more)


@given(st.one_of(st.text(), st.text(BASE64)))
def test_decode__any_text(text: str) -> None:
    """It is refused as no token, and nothing else is ever raised."""
    with pytest.raises(TokenError):
        decode(text)


def test_decode__a_very_long_text() -> None:
    """It is refused by its length, before anything is made of it."""
    with pytest.raises(TokenError, match=f"longer than {MAX_LENGTH}"):
        decode("A" * 100_000)


@given(st.text("\t\n?=/:-,lsngtid0123456789abcdef\udcff", max_size=60))
def test_decode__a_signed_text_of_another_version(payload: str) -> None:
    """What a key of this service signed is refused too where it is no lines, and nothing else is raised."""
    raw = payload.encode(errors="surrogateescape")
    found: list[TokenEntry] = []
    with suppress(TokenError):
        found = decode(token._base64(token._signature(raw, settings.SECRET_KEY) + raw))

    assert all(isinstance(line, TokenEntry) for line in found)


@given(lines)
def test_decode__another_key(carried: list[TokenEntry]) -> None:
    """It is refused."""
    with override_settings(SECRET_KEY="another"):
        sent = encode(carried)

    with pytest.raises(TokenError, match="of no key"):
        decode(sent)


@given(lines)
def test_decode__a_key_that_was_replaced(carried: list[TokenEntry]) -> None:
    """A token of a fallback key is read; a new one is signed with the new key."""
    sent = encode(carried)

    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["older", "only-for-tests"]):
        assert decode(sent) == carried
        renewed = encode(carried)
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[]):
        assert decode(renewed) == carried


def test_encode__a_position_that_is_too_long() -> None:
    """It is carried as unknown, and the replica read last as it was."""
    gaps = ":".join(f"{number}" for number in range(1, 999, 2))
    position = MySQLGtidSet.parse(f"3e11fa47-71ca-11e1-9e33-c80aa9429562:{gaps}")

    assert decode(encode([TokenEntry("default", position, last_replica="replica")])) == [
        TokenEntry("default", None, unknown=True, last_replica="replica")
    ]


@given(st.integers(1, 1200), st.integers(0, 2**32))
def test_encode__as_a_cookie(length: int, seed: int) -> None:
    """With its name and attributes it comes to 1 KB at most, however long the position is."""
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


def test_encode__at_any_length_of_the_position() -> None:
    """What it makes is never too long to be read."""
    for length in range(1, 400):
        position = MySQLGtidSet.parse("a:" + ":".join(str(2 * number) for number in range(1, length + 1)))
        (line,) = decode(encode([TokenEntry("default", position)]))

        assert line in {TokenEntry("default", position), TokenEntry("default", None, unknown=True)}
