"""The key and the token: which the service accepts, and with which it does not start."""

import hmac
from pathlib import Path

import pytest
from django.core import signing
from django.test import Client

from config import authentication, credentials
from switchyard.environment import ConfigurationError, env

KEY, TOKEN = "k" * 50, "t" * 32


def test_credentials__long_enough() -> None:
    """A key of 50 characters and a token of 32 serve."""
    credentials.require({"SECRET_KEY": KEY, "API_TOKEN": TOKEN})


@pytest.mark.parametrize(
    ("variable", "value", "shortest"),
    [("SECRET_KEY", KEY[1:], 50), ("API_TOKEN", TOKEN[1:], 32), ("API_TOKEN", "dev", 32)],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_credentials__too_short(tmp_path: Path, variable: str, value: str, shortest: int, in_file: bool) -> None:
    """A short one is refused with its length, not its value, and with a command that makes a long one."""
    environ = {"SECRET_KEY": KEY, "API_TOKEN": TOKEN} | {variable: value}
    if in_file:
        del environ[variable]
        (tmp_path / "file").write_text(value)
        environ[f"{variable}_FILE"] = str(tmp_path / "file")

    with pytest.raises(ConfigurationError) as refused:
        credentials.require(environ)

    assert str(refused.value) == (
        f"{variable} has only {len(value)} characters. Set {shortest} or more random characters,"
        f" such as those of: python3 -c 'import secrets; print(secrets.token_urlsafe({shortest}))'."
    )


@pytest.mark.parametrize("missing", ["SECRET_KEY", "API_TOKEN"])
def test_credentials__missing(missing: str) -> None:
    """A service without one of them does not start."""
    environ = {"SECRET_KEY": KEY, "API_TOKEN": TOKEN}
    del environ[missing]

    with pytest.raises(ConfigurationError, match=rf"^{missing} is not set\."):
        credentials.require(environ)


def test_secrets__in_a_variable() -> None:
    """Spaces and line ends separate several secrets."""
    assert env.secrets({"X": " one two\nthree"}, "X") == ["one", "two", "three"]
    assert env.secrets({}, "X") == []


def test_secrets__in_a_file(tmp_path: Path) -> None:
    """A file has one on each line; an empty file has none."""
    (tmp_path / "some").write_text("one\ntwo\n")
    (tmp_path / "none").write_text("")

    assert env.secrets({"X_FILE": str(tmp_path / "some")}, "X") == ["one", "two"]
    assert env.secrets({"X_FILE": str(tmp_path / "none")}, "X") == []


def test_secrets__in_both(tmp_path: Path) -> None:
    """A variable and a file are one too many."""
    with pytest.raises(ConfigurationError, match=r"^X is set, and so is X_FILE\."):
        env.secrets({"X": "one", "X_FILE": str(tmp_path)}, "X")


@pytest.mark.parametrize(("token", "status"), [("new", 200), ("old", 200), ("older", 200), ("oldest", 401), ("", 401)])
def test_token__during_a_roll(settings, token, status):
    """The token and those before it open the API, and no other."""
    settings.API_TOKEN = "new"
    settings.API_TOKEN_FALLBACKS = ["old", "older"]

    assert Client(headers={"Authorization": f"Bearer {token}"}).get("/api/aliases").status_code == status


def test_token__compared_with_each(settings, monkeypatch):
    """Each token is compared, so that the time of an answer does not say which one was sent."""
    settings.API_TOKEN = "new"
    settings.API_TOKEN_FALLBACKS = ["old"]
    compared = []

    def compare(sent, expected):
        compared.append(expected)
        return hmac.compare_digest(sent, expected)

    monkeypatch.setattr(authentication, "compare_digest", compare)
    Client(headers={"Authorization": "Bearer new"}).get("/api/aliases")

    assert compared == [b"new", b"old"]


def test_key__during_a_roll(settings):
    """A value that a pod with the key before signed is accepted."""
    settings.SECRET_KEY = "before"
    signed = signing.dumps("position")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "after", ["before"]

    assert signing.loads(signed) == "position"
