"""The parts that the tests of a release share: calls of the API, and the counters of all pods.

They use the standard library only.
"""

# ruff: noqa: INP001 - scripts of a pod, not a package

import json
import os
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

PATIENCE = 60  # seconds
SAMPLE = re.compile(r"^switchyard_queries_total\{(.*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="(\w*)"')


def call(method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Call the API of the service; return the status and the document of the response."""
    request = Request(  # noqa: S310 - the Service's own address
        os.environ["SERVICE_URL"] + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {Path(os.environ['API_TOKEN_FILE']).read_text().strip()}",
            "Content-Type": "application/json",
        },
    )
    try:
        with urlopen(request, timeout=15) as response:  # noqa: S310
            return response.status, json.loads(response.read() or "null")
    except HTTPError as error:
        return error.code, json.loads(error.read() or "null")


def queries() -> Counter[tuple[str, str, str]]:
    """Return switchyard_queries_total by alias, operation and app: the sum over the pods of the service."""
    total: Counter[tuple[str, str, str]] = Counter()
    host, port = os.environ["METRICS_HOST"], int(os.environ["METRICS_PORT"])
    for *_, address in socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM):
        with urlopen(f"http://{address[0]}:{port}/metrics", timeout=15) as response:
            for labels, value in SAMPLE.findall(response.read().decode()):
                label = dict(LABEL.findall(labels))
                total[label["alias"], label["operation"], label["app"]] += int(float(value))
    return total


def expect(what: str, condition: Callable[[], bool]) -> None:
    """Wait until the condition is true; end the test if it is not true in time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not seen within {PATIENCE} s: {what}")
        time.sleep(0.5)
    print(f"seen: {what}", flush=True)  # noqa: T201 - the test pod's log
