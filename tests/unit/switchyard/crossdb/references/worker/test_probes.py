"""The answers of the worker to its supervisor."""

import time
import urllib.error
import urllib.request

import pytest

from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.worker.probes import STANDSTILL_SECONDS, answering
from switchyard.crossdb.references.worker.worker import Worker


def status(port: int, path: str) -> int:
    """Return the status of the answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    ("path", "reached", "silent_seconds", "expected"),
    [
        ("/livez", False, 0.0, 200),
        ("/livez", True, STANDSTILL_SECONDS + 1, 503),
        ("/readyz", False, 0.0, 503),
        ("/readyz", True, STANDSTILL_SECONDS + 1, 200),
        ("/", True, 0.0, 404),
    ],
)
def test_answering__each_state(
    path: str, reached: bool, silent_seconds: float, expected: int, reference: Reference
) -> None:
    """/livez follows the loop, and /readyz the first answers of the owners."""
    worker = Worker([reference])
    worker.reached, worker.turned_at = reached, time.monotonic() - silent_seconds

    with answering(worker, 0) as port:
        assert status(port, path) == expected


def test_answering__no_reference() -> None:
    """A worker of a project without references is alive and ready."""
    worker = Worker([])
    worker.turned_at = 0.0

    with answering(worker, 0) as port:
        assert (status(port, "/livez"), status(port, "/readyz")) == (200, 200)
