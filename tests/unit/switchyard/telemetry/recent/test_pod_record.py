"""The record that the exporter serves to other pods, from the files of a METRICS_DIR."""

import json
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from switchyard.telemetry import metrics
from switchyard.telemetry.counters import Counters
from switchyard.telemetry.gauges import reference_gauges
from switchyard.telemetry.recent.history import History
from switchyard.telemetry.recent.peer_access import allow, pod_id
from switchyard.telemetry.recent.pod_record import pod_record, with_pod_record


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A METRICS_DIR to which clients with the token `secret` have access."""
    allow(tmp_path, ["secret"])
    return tmp_path


@pytest.fixture
def counters(directory: Path) -> Counters:
    """Counters of the service in that directory."""
    return Counters(metrics.layout(), str(directory))


def index(record: dict[str, Any], *column: str) -> int:
    """Return the place of a column in a sample, whose first value is its time."""
    place: int = record["columns"].index(list(column)) + 1
    return place


def test_record__before_the_service_counts(directory: Path) -> None:
    """A pod whose service has not counted yet has an empty record."""
    record = pod_record(directory, 0.0)

    assert record == {
        "pod": pod_id(directory),
        "columns": [],
        "samples": [],
        "newest": [],
        "statements": [],
        "violations": [],
        "problems": {},
        "pools": {},
        "reasons": {},
        "references": {},
        "runs_worker": False,
        "across": [],
    }


def test_record__counts(directory: Path, counters: Counters) -> None:
    """The record has the samples, and the counts of now."""
    history = History(counters)
    now = time.time()
    history.sample(now - 10)
    counters.count(metrics.QUERIES, "default", "read", "accounts", amount=3)
    history.sample(now - 5)
    counters.count(metrics.QUERIES, "default", "read", "accounts", amount=4)
    record = pod_record(directory, 0.0)
    reads = index(record, "queries", "default", "read")

    assert [sample[0] for sample in record["samples"]] == [now - 10, now - 5]
    assert [sample[reads] for sample in (*record["samples"], record["newest"])] == [0.0, 3.0, 7.0]


def test_record__newer_samples(directory: Path, counters: Counters) -> None:
    """A client that has samples gets newer ones only."""
    history, now = History(counters), time.time()
    for seconds in (15, 10, 5):
        history.sample(now - seconds)

    assert [sample[0] for sample in pod_record(directory, now - 10)["samples"]] == [now - 5]


def test_record__read_only_directory(directory: Path, counters: Counters) -> None:
    """The exporter needs no right to write."""
    History(counters).sample(time.time())
    writable = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
    pod_record(directory, 0.0)

    assert {path: path.stat().st_mtime_ns for path in directory.iterdir()} == writable


def test_record__servers(directory: Path) -> None:
    """The record says why servers are not used, unless the process that knew is gone."""
    server = {"reason": "down"}
    for name, seconds in (("new", 1), ("old", 60)):
        content = {"written_at": time.monotonic() - seconds, "servers": {name: server}}
        (directory / f"monitor-{name}").write_text(json.dumps(content))

    assert pod_record(directory, 0.0)["reasons"] == {"new": "down"}


def test_record__references(directory: Path) -> None:
    """The record has the newest gauges of each reference, with their age."""
    gauges = reference_gauges.ReferenceGauges("analytics.Event.user", "default", "analytics", 3, 1, 7.5)
    reference_gauges.write(reference_gauges.claim(directory), [gauges])
    found = pod_record(directory, 0.0)["references"]["analytics.Event.user"]

    assert 0 <= found.pop("read_seconds_ago") < 20
    assert found == gauges._asdict()


def test_record__worker_that_reports_nothing(directory: Path) -> None:
    """The record of a worker says that it is one, also while the owner of the parents does not answer."""
    reference_gauges.claim(directory)
    record = pod_record(directory, 0.0)

    assert (record["references"], record["runs_worker"]) == ({}, True)


def test_record__counts_across_databases(directory: Path, counters: Counters) -> None:
    """The record has what was counted from one database to another, and no count that is 0."""
    counters.count(metrics.TOMBSTONES, "default", "analytics", "handled", amount=2)
    counters.count(metrics.CROSS_DATABASE_QUERIES, "analytics", "default", "chunks", amount=1)
    counters.count(metrics.QUERIES, "default", "read", "accounts", amount=1)

    assert sorted(pod_record(directory, 0.0)["across"]) == [
        (metrics.CROSS_DATABASE_QUERIES, "analytics", "default", "chunks", 1.0),
        (metrics.TOMBSTONES, "default", "analytics", "handled", 2.0),
    ]


@pytest.fixture
def ask(directory: Path) -> Callable[..., tuple[str, bytes]]:
    """Send a request to the application of the exporter; return the status and the body."""

    def others(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"metrics"]

    def send(path: str, authorization: str = "", query: str = "") -> tuple[str, bytes]:
        statuses: list[str] = []
        application = with_pod_record(directory, others)
        environ = {"PATH_INFO": path, "QUERY_STRING": query, "HTTP_AUTHORIZATION": authorization}
        body = b"".join(application(environ, lambda status, _headers: statuses.append(status)))
        return statuses[0], body

    return send


def test_application__with_token(ask: Callable[..., tuple[str, bytes]], directory: Path) -> None:
    """A client with the token gets the record."""
    status, body = ask("/pod", "Bearer secret")

    assert (status, json.loads(body)["pod"]) == ("200 OK", pod_id(directory))


@pytest.mark.parametrize("authorization", ["", "Bearer wrong"])
def test_application__without_token(ask: Callable[..., tuple[str, bytes]], authorization: str) -> None:
    """Another client gets 401 and nothing else."""
    status, body = ask("/pod", authorization)

    assert status.startswith(str(HTTPStatus.UNAUTHORIZED.value))
    assert json.loads(body) == {"error": "The token is missing or wrong."}


def test_application__wrong_time(ask: Callable[..., tuple[str, bytes]]) -> None:
    """A parameter that is no time is refused."""
    assert ask("/pod", "Bearer secret", "after=x")[0] == "400 Bad Request"


def test_application__metrics(ask: Callable[..., tuple[str, bytes]]) -> None:
    """All other paths show the metrics, without a token."""
    assert ask("/metrics") == ("200 OK", b"metrics")
