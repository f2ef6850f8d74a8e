"""The messages of refusals, which must not depend on docstrings: `python -OO` removes those."""

import re
import subprocess
import sys
from pathlib import Path
from string import Formatter

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError

from switchyard.routing.errors import OwnerUnavailableError, RoutingError, StaleSaveError, first_line

APP = Path(__file__).parents[4] / "app"


def values_of(message: str) -> dict[str, str]:
    """Return a value for each field of a message: its own name in capitals."""
    return {field: field.upper() for _text, field, _spec, _conversion in Formatter().parse(message) if field}


def all_messages() -> list[str]:
    """Return the text of every refusal with all its values."""
    refusals = [error(**values_of(error.message)) for error in RoutingError.__subclasses__()]
    away = [OwnerUnavailableError(alias="ALIAS", reason=reason) for reason in OwnerUnavailableError.WHY]
    return [str(error) for error in (*refusals, *away)]


@pytest.mark.parametrize("error", RoutingError.__subclasses__())
def test_error__message(error: type[RoutingError]) -> None:
    """Each refusal says in a line what happened, on which alias, and what to do."""
    message = str(error(**values_of(error.message)))

    assert error.message is not RoutingError.message
    assert message.count(". ") >= 1
    assert "ALIAS" in message
    assert "\n" not in message
    assert "{" not in message


@pytest.mark.parametrize("error", RoutingError.__subclasses__())
def test_error__summary(error: type[RoutingError]) -> None:
    """The summary is one sentence that names the alias, and no value of a row."""
    summary = error(**values_of(error.message)).summary

    assert "ALIAS" in summary
    assert summary.endswith(".")
    assert summary.count(". ") == 0
    assert not {"PK", "CHANGE", "REASON"} & set(re.findall(r"\w+", summary))


def test_first_line__of_a_driver() -> None:
    """The text ends before the statement or the next address; an error without a text has an empty line."""
    assert first_line(DatabaseError("no such table\nLINE 1: SELECT")) == "no such table"
    assert first_line(DatabaseError("\nfirst\nsecond")) == "first"
    assert first_line(DatabaseError()) == ""


def test_error__base_classes() -> None:
    """No refusal of a mistake is a DatabaseError; a stale save, which the data decides, and a failed server are."""
    refusals = RoutingError.__subclasses__()
    assert [error for error in refusals if issubclass(error, DatabaseError)] == [StaleSaveError]
    assert not any(issubclass(error, OperationalError | IntegrityError) for error in refusals)
    assert issubclass(OwnerUnavailableError, OperationalError)


def test_error__without_docstrings() -> None:
    """`python -OO` gives each refusal the same message."""
    printed = subprocess.run(
        [sys.executable, "-OO", "-c", "import test_errors; print(*test_errors.all_messages(), sep='\\n')"],
        env={"PYTHONPATH": f"{APP}:{Path(__file__).parent}", "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert printed.stdout.splitlines() == all_messages()
