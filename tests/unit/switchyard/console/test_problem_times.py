"""Since when there is each problem."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings

from switchyard.console import problem_times
from switchyard.console.problem_times import FORGOTTEN_AFTER_SECONDS, SHOWN_AFTER_SECONDS, TimedProblem, note, timed
from switchyard.console.problems import Problem

START = 1_800_000_000.0


@pytest.fixture(params=["memory", "file"], autouse=True)
def kept(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The times are in the memory of the process, or in a file of METRICS_DIR."""
    monkeypatch.setattr(problem_times, "_own", {})
    directory = None if request.param == "memory" else str(tmp_path)
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "METRICS_DIR": directory}):
        yield


def test_note__first_time() -> None:
    """A problem begins when it is seen first."""
    note(["replica down"], START)

    assert note(["replica down", "default slow calls"], START + 60) == {
        "replica down": START,
        "default slow calls": START + 60,
    }


def test_note__short_gap() -> None:
    """A problem that one look does not find goes on."""
    note(["replica down"], START)
    assert note([], START + 5) == {}

    assert note(["replica down"], START + 10) == {"replica down": START}


def test_note__gone() -> None:
    """A problem that comes back later is a new one."""
    note(["replica down"], START)
    note([], START + FORGOTTEN_AFTER_SECONDS + 1)

    assert note(["replica down"], START + 60) == {"replica down": START + 60}


def test_timed__since_the_first_pod() -> None:
    """A problem that another pod has had for longer is as old as there."""
    down = Problem("down", "error", "It is silent.")

    assert timed({"replica": [down]}, {"replica down": START - 9}, START) == {
        "replica": [TimedProblem("down", "error", "It is silent.", START - 9)]
    }


@pytest.mark.parametrize("fault", SHOWN_AFTER_SECONDS)
def test_timed__that_may_pass(fault: str) -> None:
    """A problem that is often over after a moment is shown when it lasts."""
    problem = Problem(fault, "warning", "Some thread waits.")
    first = timed({"default": [problem]}, {}, START)
    later = timed({"default": [problem]}, {}, START + SHOWN_AFTER_SECONDS[fault])

    assert first == {"default": []}
    assert [each.since for each in later["default"]] == [START]
