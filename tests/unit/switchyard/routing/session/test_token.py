"""Tokens: a token decodes to its entries, or is refused."""

import string
import time
from contextlib import suppress

import pytest
from django.conf import settings
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from switchyard.positions.mysql import MySQLGtidSet
from switchyard.positions.postgresql import Lsn
from switchyard.routing.contrib.client_tokens import COOKIE
from switchyard.routing.session import token
from switchyard.routing.session.token import (
    ALL_OWNERS,
    MAX_LENGTH,
    TokenEntry,
    TokenError,
    UnknownKeyError,
    decode,
    encode,
    token_id,
)

names = st.text(st.characters(exclude_characters="\t\n#", exclude_categories=["Cs"]), max_size=5)
lsns = st.builds(Lsn, st.integers(1, 2**63).map(str), st.integers(1, 99), st.integers(0, 2**64 - 1))
entry_lists = st.lists(
    st.one_of(
        st.builds(TokenEntry, names, lsns, st.none(), names, names, st.just(value=False)),
        st.builds(TokenEntry, names, st.none(), st.none() | st.integers(0, 2**40), names, names, st.just(value=False)),
        st.builds(TokenEntry, names, st.none() | lsns, st.integers(0, 2**40), names, names, st.just(value=True)),
    ),
    min_size=1,
    max_size=2,
)
BASE64 = string.ascii_letters + string.digits + "-_"
UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


def gtids(count: int) -> MySQLGtidSet:
    """Return a position whose length grows with the count."""
    return MySQLGtidSet.parse(f"{UUID}:" + ":".join(str(7 * number**2) for number in range(1, count + 1)))


@given(entry_lists)
def test_encode__any_entries(entries: list[TokenEntry]) -> None:
    """The token of any entries decodes to the same entries."""
    assert decode(encode(entries)) == entries


# Of a character. A token with a random number may have another length when Hypothesis repeats an example.
PLACES = st.integers(0, MAX_LENGTH - 1)


def test_encode__no_entries() -> None:
    """The token of no entries is empty."""
    assert encode([]) == ""


@given(entry_lists, st.data())
def test_decode__flipped_bit(entries: list[TokenEntry], data: st.DataObject) -> None:
    """A token with a flipped bit is refused, also if base64 does not use the bit."""
    sent = encode(entries)
    place = data.draw(PLACES) % len(sent)
    flipped = chr(ord(sent[place]) ^ (1 << data.draw(st.integers(0, 6))))

    with pytest.raises(TokenError):
        decode(sent[:place] + flipped + sent[place + 1 :])


@given(entry_lists, st.data())
def test_decode__truncated_token(entries: list[TokenEntry], data: st.DataObject) -> None:
    """A truncated token is refused."""
    sent = encode(entries)

    with pytest.raises(TokenError):
        decode(sent[: data.draw(PLACES) % len(sent)])


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
    """A very long text is refused, and so is a text too short for a token."""
    for text in ("A" * 100_000, "A" * 24, ""):
        with pytest.raises(TokenError):
            decode(text)


@given(st.text("\t\n?=/:-,lsngtid0123456789abcdef\udcff", max_size=60))
def test_decode__encrypted_text_of_another_version(payload: str) -> None:
    """An encrypted text without valid entries raises TokenError, and no other error."""
    (key_id, cipher), *_ = token._ciphers().items()
    raw = payload.encode(errors="surrogateescape")
    found: list[TokenEntry] = []
    with suppress(TokenError):
        found = decode(token._base64(key_id + cipher.encrypt(raw or b"-", [key_id])))

    assert all(isinstance(entry, TokenEntry) for entry in found)


@given(entry_lists)
def test_decode__unknown_key(entries: list[TokenEntry]) -> None:
    """A token of a key that this process does not have is told from a forged token."""
    with override_settings(SECRET_KEY="another"):
        sent = encode(entries)

    with pytest.raises(UnknownKeyError):
        decode(sent)


@given(entry_lists)
def test_decode__key_of_another_token(entries: list[TokenEntry]) -> None:
    """A token under the name of a known key that did not make it is forged."""
    with override_settings(SECRET_KEY="another"):
        sent = encode(entries)

    with pytest.raises(TokenError) as raised:
        decode(encode(entries)[:4] + sent[4:])
    assert not isinstance(raised.value, UnknownKeyError)


def test_encode__content_is_hidden() -> None:
    """The token shows neither system nor position nor owner, in clear or in base64."""
    raw = token.urlsafe_b64decode(encode([TokenEntry("default", Lsn("7300000000000000001", 1, 0x16B374D848))]) + "==")

    for shown in (b"default", b"7300000000", b"B374D848", b"lsn"):
        assert shown not in raw


position_lists = st.lists(
    st.builds(TokenEntry, names, lsns, st.none(), st.just(""), st.just(""), st.just(value=False)),
    min_size=1,
    max_size=2,
)


@given(position_lists, position_lists)
def test_token_id__belongs_to_the_content(one: list[TokenEntry], other: list[TokenEntry]) -> None:
    """Equal positions have equal tokens, and other positions have another identifier."""
    assert encode(one) == encode(list(one))
    assert (token_id(encode(one)) == token_id(encode(other))) == (one == other)


def test_token_id__of_a_moment() -> None:
    """Each token with a time, or with the replica or server read last, has an identifier of its own."""
    for entry in (
        TokenEntry("default", written_before=9),
        TokenEntry("default", last_replica="replica"),
        TokenEntry("default", server="a"),
    ):
        assert len({token_id(encode([entry])) for _ in range(100)}) == 100


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
    """The longest position becomes unknown: everything before now is required. The others stay."""
    before = time.time()
    short = TokenEntry("default", Lsn("7300000000000000001", 1, 9))
    found = decode(encode([short, TokenEntry("legacy", gtids(200), last_replica="replica")]))

    assert found[0] == short
    assert (found[1].owner, found[1].position, found[1].last_replica) == ("legacy", None, "")
    assert found[1].written_before is not None
    assert before <= found[1].written_before <= time.time() + 1


def test_encode__too_many_owners() -> None:
    """One entry stands for all owners, with the latest of their times, so that its time does not move on."""
    entries = [TokenEntry(f"owner-{number**9}", written_before=number) for number in range(1, 60)]
    found = decode(encode(entries))

    assert found == [TokenEntry(ALL_OWNERS, written_before=59)]
    assert decode(encode(found)) == found


def test_encode__four_owners() -> None:
    """The positions of four owners on PostgreSQL are in the token, as long as positions can be."""
    entries = [
        TokenEntry(owner, Lsn(str(2**63 - 12345 * number), 99, 2**48 - 54321 * number))
        for number, owner in enumerate(("analytics", "default", "legacy", "reporting"))
    ]

    assert decode(encode(entries)) == entries


@given(st.integers(1, 400))
def test_encode__size(count: int) -> None:
    """Eight tokens with the names of their cookies have at most 2 KB in a request, for positions of any length."""
    entry = TokenEntry("default", gtids(count), last_replica="replica")
    sent = encode([entry])
    (found,) = decode(sent)

    assert len(sent) <= MAX_LENGTH
    assert 8 * len(f"{COOKIE}_{token_id(sent)}={sent}; ") <= 2048
    assert found == entry or (found.position is None and found.written_before)
