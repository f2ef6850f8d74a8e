"""The log lines that the service writes."""

import json
import logging
import logging.config
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
