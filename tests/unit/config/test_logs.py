"""The log lines that the service writes."""

import json
import logging
import logging.config
import re
from collections.abc import Iterator

import pytest
from django.conf import settings

from config.logs import logging_config


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Restore pytest's handlers."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    logging.config.dictConfig(settings.LOGGING)
    root.handlers[:], root.level = before


def configured(name: str) -> logging.Logger:
    """Return a logger that writes to the current standard output."""
    logging.config.dictConfig(logging_config("stdout"))
    return logging.getLogger(name)


def test_log_line__as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A record is one line of JSON: event, level, logger, time and the extra fields."""
    configured("some.module").warning("%s is %s", "disk", "full", extra={"alias": "default"})

    line = json.loads(capsys.readouterr().out)

    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "disk is full", "level": "warning", "logger": "some.module", "alias": "default"}


def test_log_line__with_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback is in the line of its record, and shows no values of variables: one may be a password."""

    def fail(password: str) -> None:
        raise RuntimeError("lost", len(password))

    logger = configured("some.module")
    try:
        fail("s3" + "cret")
    except RuntimeError:
        logger.exception("failed")

    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "RuntimeError: ('lost', 6)" in json.loads(said)["exception"]
    assert "s3cret" not in said


def test_log_line__of_django(capsys: pytest.CaptureFixture[str]) -> None:
    """A record of Django is one line, written once."""
    configured("django.request").error("Internal Server Error: %s", "/")

    assert json.loads(capsys.readouterr().out)["event"] == "Internal Server Error: /"


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\rforged\u202e"


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """Return a logger that writes text, as on a terminal."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    return configured("some.module")


def without_colours(said: str) -> str:
    """Return the text without the codes that the renderer itself writes for colours."""
    return re.sub(r"\x1b\[\d*m", "", said)


def test_log_line__on_a_terminal_with_escape_sequences(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No control character of a message, of an extra field or of an exception reaches the terminal."""
    logger = on_a_terminal(monkeypatch)
    try:
        int(HOSTILE)
    except ValueError:
        logger.exception(
            "Not found: %s", HOSTILE, extra={"path": HOSTILE, "parts": [HOSTILE], "request": KeyError(HOSTILE)}
        )

    said = without_colours(capsys.readouterr().out)
    assert "forged" in said
    assert [character for character in said if not character.isprintable() and character != "\n"] == []


def test_log_line__on_a_terminal_with_a_line_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A message stays one line, so that no message looks like two."""
    on_a_terminal(monkeypatch).warning("first\n12:00:00 [error] second")

    assert capsys.readouterr().out.count("\n") == 1


def test_log_line__on_a_terminal_with_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A traceback keeps its lines."""
    logger = on_a_terminal(monkeypatch)
    try:
        int("lost")
    except ValueError:
        logger.exception("failed")

    assert without_colours(capsys.readouterr().out).splitlines()[-1].startswith("ValueError: ")
