"""The lines of the worker's log about what it has done."""

import logging
from collections import Counter

import pytest

from switchyard.crossdb.references.worker import progress
from switchyard.crossdb.references.worker.progress import INTERVAL_SECONDS, Progress


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the log."""
    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, progress.__name__)


def done(record: logging.LogRecord) -> object:
    """Return what a record says that was done."""
    return record.references  # type: ignore[attr-defined]


def test_log__once_a_minute(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """All batches of a minute are one line, at the end of the minute."""
    totals = {"a.B.c": Counter[str]()}
    found = Progress(totals)
    for seconds in (20.0, 20.0, 20.0):
        clock.seconds += seconds
        totals["a.B.c"].update(handled=2, deleted=5)
        found.log()

    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.INFO, "deletions")
    assert done(record) == {"a.B.c": {"handled": 6, "deleted": 15}}
    assert record.seconds == INTERVAL_SECONDS  # type: ignore[attr-defined]


def test_log__what_came_since(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """The next line has what was done since the line before."""
    totals = {"a.B.c": Counter({"handled": 7}), "d.E.f": Counter[str]()}
    found = Progress(totals)
    totals["a.B.c"].update(handled=1)
    clock.seconds += INTERVAL_SECONDS
    found.log()
    totals["d.E.f"].update(failed=1)
    clock.seconds += INTERVAL_SECONDS
    found.log()

    assert [done(record) for record in caplog.records] == [{"a.B.c": {"handled": 1}}, {"d.E.f": {"failed": 1}}]


def test_log__nothing_done(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A minute without work has no line."""
    found = Progress({"a.B.c": Counter[str]()})
    clock.seconds += INTERVAL_SECONDS
    found.log()

    assert caplog.records == []


def test_log__at_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that ends logs the rest before its minute is over."""
    totals = {"a.B.c": Counter[str]()}
    found = Progress(totals)
    totals["a.B.c"].update(handled=1)
    found.log(at_once=True)

    assert [done(record) for record in caplog.records] == [{"a.B.c": {"handled": 1}}]
