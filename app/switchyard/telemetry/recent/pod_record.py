"""What a pod tells other pods of its last fifteen minutes, out of the files of METRICS_DIR. No Django, no settings.

The exporter serves it, so a pod answers also while all its workers are busy. A record holds no host, user, password,
database name or value of a row.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from switchyard.telemetry.gauges.reference_gauges import has_writer, known_references
from switchyard.telemetry.gauges.server_gauges import known_servers, pool_totals
from switchyard.telemetry.recent.across import Count, counts_across
from switchyard.telemetry.recent.peer_access import allows, pod_id
from switchyard.telemetry.recent.ring import FileRing
from switchyard.telemetry.shared_storage import read

PATH = "/pod"
HISTORY_FILE, DESCRIPTION_FILE = "history", "history.columns"
STATEMENTS_FILE, VIOLATIONS_FILE, PROBLEMS_FILE = "statements", "violations", "problems"
_VERDICT_SECONDS = 5.0  # an older verdict is that of a process that is gone

type WsgiApp = Callable[..., Iterable[bytes]]


def pod_record(directory: Path, after: float) -> dict[str, Any]:
    """Return the record, with the samples that are newer than the Unix time `after`.

    Raises OSError if the directory cannot be read.
    """
    return {
        "pod": pod_id(directory),
        **_history(directory, after),
        "statements": _content(directory / STATEMENTS_FILE, []),
        "violations": _content(directory / VIOLATIONS_FILE, []),
        "problems": {problem: first_at for problem, (first_at, _) in _content(directory / PROBLEMS_FILE, {}).items()},
        "pools": pool_totals(directory),
        "references": references_of(directory),
        "runs_worker": has_writer(directory),
        "across": _across(directory),
        "reasons": {
            alias: server["reason"] for alias, server in known_servers(directory, seconds=_VERDICT_SECONDS).items()
        },
    }


def references_of(directory: str | Path) -> dict[str, dict[str, Any]]:
    """Return the newest gauges of each reference, with their age in place of a time that other machines do not have."""
    now = time.monotonic()
    return {
        reference: {
            **{name: value for name, value in gauges.items() if name != "written_at"},
            "read_seconds_ago": max(now - gauges["written_at"], 0.0),
        }
        for reference, gauges in known_references(directory).items()
    }


def with_pod_record(directory: Path, others: WsgiApp) -> WsgiApp:
    """Return a WSGI application that serves the record at /pod to clients with a token, and leaves the rest to another.

    The parameter `after` is a Unix time: the client has all samples up to then.
    """

    def application(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH:
            return others(environ, start_response)
        if not allows(directory, environ.get("HTTP_AUTHORIZATION", "")):
            return _answer(start_response, HTTPStatus.UNAUTHORIZED, {"error": "The token is missing or wrong."})
        try:
            after = float(parse_qs(environ.get("QUERY_STRING", "")).get("after", ["0"])[0])
        except ValueError:
            return _answer(start_response, HTTPStatus.BAD_REQUEST, {"error": "`after` is no Unix time."})
        return _answer(start_response, HTTPStatus.OK, pod_record(directory, after))

    return application


def _answer(
    start_response: Callable[[str, Sequence[tuple[str, str]]], Any], status: HTTPStatus, content: Any
) -> Iterable[bytes]:
    body = json.dumps(content, separators=(",", ":")).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
    start_response(f"{status} {status.phrase}", headers)
    return [body]


def _across(directory: Path) -> list[Count]:
    counts = read(directory)
    return counts_across(counts.layout, counts.totals) if counts else []


def _history(directory: Path, after: float) -> dict[str, Any]:
    """Return the columns, the samples and the counts of now; nothing before the service has sampled its counters."""
    description, counts = _content(directory / DESCRIPTION_FILE, None), read(directory)
    if description is None or counts is None:
        return {"columns": [], "samples": [], "newest": []}
    columns, now = description["columns"], time.time()
    ring = FileRing(directory / HISTORY_FILE, description["key"], width=len(columns))
    return {
        "columns": [column for column, _cells in columns],
        "samples": [[each.at, *each.values] for each in ring.samples(now) if each.at > after],
        "newest": [now, *(sum(counts.totals[cell] for cell in cells) for _column, cells in columns)],
    }


def _content(path: Path, absent: Any) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return absent
