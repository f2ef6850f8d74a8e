"""The text of a comment, where it stands in a statement, and which statements take one."""

from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.routing.connections.comments import is_prepared, takes_comment, with_comment
from switchyard.sql import classify

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-0123456701234567-01"
ALL = {"alias": "replica", "app": "accounts", "reason": "replica", "route": "users/<int:key>"}


def test_with_comment__format() -> None:
    """The comment has its keys in order and its values URL-encoded in quotation marks."""
    sent = with_comment("SELECT 1", "SELECT 1", has_parameters=False, traceparent=PARENT, **ALL)

    assert sent == (
        "SELECT 1 /*alias='replica',app='accounts',reason='replica',route='users%2F%3Cint%3Akey%3E',"
        f"traceparent='{PARENT}'*/"
    )


def test_with_comment__parameters() -> None:
    """With parameters the driver reads the text as a format, and gets the same comment out of it."""
    plain = with_comment("SELECT 1", "SELECT 1", has_parameters=False, **ALL)
    doubled = with_comment("SELECT 1", "SELECT 1", has_parameters=True, **ALL)

    assert "%%2F" in doubled
    assert doubled % () == plain


def test_with_comment__unknown_values() -> None:
    """A value that is not known is left out, and nothing is added if none is."""
    assert with_comment("SELECT 1", "SELECT 1", has_parameters=True, alias="a", app=None) == "SELECT 1 /*alias='a'*/"
    assert with_comment("SELECT 1", "SELECT 1", has_parameters=True, alias=None) == "SELECT 1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1; \n", "SELECT 1 /*alias='a'*/;"),
        ("SELECT 1\n", "SELECT 1 /*alias='a'*/"),
        ("SELECT 1; SELECT 2", "SELECT 1; SELECT 2 /*alias='a'*/"),
        (b"SELECT '\xff';", b"SELECT '\xff' /*alias='a'*/;"),
    ],
)
def test_with_comment__end_of_the_text(text: Any, expected: Any) -> None:
    """The comment stands at the end, before a semicolon. Bytes stay the same bytes."""
    assert with_comment(text, str(text), has_parameters=False, alias="a") == expected


@given(st.text(min_size=1))
def test_with_comment__any_value(value: str) -> None:
    """No value ends the comment, and a reader gets each value back."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    sent = with_comment("SELECT 1", "SELECT 1", has_parameters=False, route=value)

    inside = sent.removeprefix("SELECT 1 /*route='").removesuffix("'*/")
    assert not set(inside) & {"'", "*", "/", "\\"}
    assert unquote(inside) == value


@pytest.mark.parametrize(
    ("vendor", "text", "takes"),
    [
        ("postgresql", "SELECT 1", True),
        ("mysql", "SELECT 1", True),
        ("sqlite", "SELECT 1", False),
        ("postgresql", "SAVEPOINT a", True),
        ("mysql", "CREATE VIEW a AS SELECT 1", False),
        ("postgresql", "SELECT 1 /* by hand */", True),
        ("postgresql", "SELECT 1 /*controller='a',route='b'*/", False),
        ("postgresql", "SELECT alias='a' FROM b", True),
    ],
)
def test_takes_comment(vendor: str, text: str, takes: bool) -> None:
    """SQLite, definitions, and statements with a comment of these keys take none."""
    assert takes_comment(vendor, classify(text, vendor), text) is takes


@pytest.mark.parametrize(
    ("vendor", "threshold", "options", "expected"),
    [
        ("postgresql", None, {}, False),
        ("postgresql", 5, {}, True),
        ("postgresql", 0, {}, True),
        ("postgresql", None, {"prepare": True}, True),
        ("mysql", 5, {}, False),
    ],
)
def test_is_prepared(vendor: str, threshold: int | None, options: dict[str, Any], expected: bool) -> None:
    """A driver of PostgreSQL prepares with a threshold, and when it is told to."""
    cursor = SimpleNamespace(connection=SimpleNamespace(prepare_threshold=threshold))

    assert is_prepared(vendor, cursor, options) is expected
