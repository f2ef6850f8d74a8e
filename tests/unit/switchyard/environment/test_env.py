"""Readers of environment variables: a usable value, or one line with variable, value and remedy."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.environment import ConfigurationError, env

ANYTHING = st.text(st.characters(codec="utf-8"))


def outcome(read: Callable[[], object]) -> str:
    """Return the value as text, or the error as text."""
    try:
        return repr(read())
    except ConfigurationError as error:
        return str(error)


@pytest.mark.parametrize("value", ["", None])
def test_readers__unset_or_empty(value: str | None) -> None:
    """An empty variable counts as unset, because templates often write empty values."""
    environ = {} if value is None else {"X": value}

    assert env.text(environ, "X", "fallback") == "fallback"
    assert env.flag(environ, "X", default=True) is True
    assert env.number(environ, "X", 7, low=1, high=9) == 7
    assert env.choice(environ, "X", ("a", "b")) is None
    assert env.names(environ, "X", ("a", "b")) == ["a", "b"]
    assert env.secret(environ, "X", default="") == ""


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("TRUE", True), ("1", True), ("on", True), ("no", False), ("False", False)]
)
def test_flag__in_the_usual_words(value: str, expected: bool) -> None:
    """A flag may be any of the usual words, in any letter case."""
    assert env.flag({"X": value}, "X", default=not expected) is expected


def test_names__spaces_and_empty_parts() -> None:
    """Parts are trimmed, and a trailing comma makes no empty name."""
    assert env.names({"X": " a, b,,"}, "X") == ["a", "b"]


@pytest.mark.parametrize("value", ["0", "11", "-5", "5.0", "five", " 5", "\u0665", "9" * 5_000])
def test_number__not_in_range(value: str) -> None:
    """A value that is no whole number in the range is refused, with the range."""
    with pytest.raises(ConfigurationError, match=r"^X=.* is out of range\. Set it to a whole number from 1 to 10\.$"):
        env.number({"X": value}, "X", 7, low=1, high=10)


def test_choice__unknown() -> None:
    """An unknown choice is refused, with the known choices."""
    with pytest.raises(ConfigurationError, match=r"^X='c' is unknown\. Set it to one of: a, b\.$"):
        env.choice({"X": "c"}, "X", ("a", "b"))


@given(value=ANYTHING)
def test_readers__any_text(value: str) -> None:
    """Any text is read, or refused with one line."""
    lines = [
        outcome(lambda: env.flag({"X": value}, "X", default=False)),
        outcome(lambda: env.number({"X": value}, "X", 1, low=0, high=10)),
        outcome(lambda: env.choice({"X": value}, "X", ("a", "b"))),
    ]

    assert all(len(line.splitlines()) == 1 for line in lines)


def test_configuration_error__ends_the_process_with_its_text() -> None:
    """The message is the code of SystemExit: Python prints it and ends with exit code 1."""
    error = ConfigurationError("X", "is wrong", "Mend it", value="a\nb")

    assert isinstance(error, SystemExit)
    assert error.code == "X='a\\nb' is wrong. Mend it."


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n", "s3cret\r\n"])
def test_secret__from_a_file(tmp_path: Path, content: str) -> None:
    """The line end that an editor or `echo` writes is not part of the secret."""
    path = tmp_path / "token"
    path.write_bytes(content.encode())

    assert env.secret({"X_FILE": str(path)}, "X") == "s3cret"


def test_secret__missing() -> None:
    """Without a default a missing secret is refused; the line names both variables."""
    with pytest.raises(ConfigurationError, match=r"^X is not set\. Set it, or name a file that holds it in X_FILE\.$"):
        env.secret({}, "X")


def test_secret__given_twice(tmp_path: Path) -> None:
    """Two sources of one secret are refused, and neither value is shown."""
    with pytest.raises(ConfigurationError) as refused:
        env.secret({"X": "s3cret", "X_FILE": str(tmp_path)}, "X")

    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file or directory"), (b"\n", "empty file"), (b"\xff", "not UTF-8 text")]
)
def test_secret__from_a_bad_file(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """A file without a secret is refused, with its name and the reason."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=reason) as refused:
        env.secret({"X_FILE": str(path)}, "X")

    assert str(refused.value).startswith(f"X_FILE={str(path)[:100]!r}")
