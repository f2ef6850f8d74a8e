"""The latency of the service while silent, slow and idle clients are connected, beside the same without them.

`make bench-edge`, or `python -m tests.bench.edge [--kinds KIND ...] [--worker-class CLASS]`. The service runs under
gunicorn with its own settings, on embedded databases. For each kind, times with and without such clients are taken in
turn. Each probe opens a connection of its own, as the kubelet does.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from threading import Thread

from tests.bench.results import ROOT, SMALL, Result, at_most, finish
from tests.support.gunicorn import TOKEN, database_environ, serving
from tests.support.slow_clients import KINDS

PATHS = ("/livez", "/api/users")
BAR_SECONDS = 0.1
CLIENT_TIMEOUT_SECONDS = 5.0
PAUSE_SECONDS = 0.02  # between two probes of one path
SECONDS = 10.0 if SMALL else 60.0  # with the clients of one kind


@dataclass
class Probes:
    """The durations of the probes of one path, and the number of probes that failed."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    def percentile(self, percent: int) -> float:
        """Return the duration that so many percent of the probes did not exceed."""
        return quantiles([*self.seconds, *self.seconds], n=100)[percent - 1]


def main() -> int:
    """Measure, print and write; the exit code says whether all bars were kept."""
    parser = argparse.ArgumentParser(description="Measure the service beside clients that hold connections.")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--worker-class", help="another worker class than the service's, for a comparison")
    options = parser.parse_args()
    extra = ["--worker-class", options.worker_class] if options.worker_class else []
    with TemporaryDirectory() as data:
        environ = database_environ(Path(data), users=1_000)
        results: list[Result] = []
        for kind in options.kinds:
            with serving(environ, *extra) as service:
                results += measured(kind, service.port, options.seconds)
    return finish("edge", results)


def measured(kind: str, port: int, seconds: float) -> Iterator[Result]:
    """Yield the results of one kind of clients."""
    probes_of(port, 2.0)  # opens databases, imports views
    without, beside = probes_of(port, seconds / 2), {}
    with clients(kind, port):
        beside = probes_of(port, seconds)
    time.sleep(1)
    for path, more in probes_of(port, seconds / 2).items():
        without[path].seconds += more.seconds
        without[path].failed += more.failed
    for path in PATHS:
        name = f"{kind}, {KINDS[kind].number:,} clients: {path}"
        yield at_most(f"{name}: failed of {len(beside[path].seconds):,}", beside[path].failed, "requests", 0)
        for percent in (50, 99):
            alone, held = (probes.percentile(percent) for probes in (without[path], beside[path]))
            yield Result(f"{name}: p{percent} without", round(alone * 1000, 1), "ms")
            yield at_most(f"{name}: p{percent} more", round((held - alone) * 1000, 1), "ms", BAR_SECONDS * 1000)


@contextmanager
def clients(kind: str, port: int) -> Iterator[None]:
    """Keep the clients of one kind connected in this block."""
    command = [sys.executable, "-m", "tests.support.slow_clients", str(port), kind, str(KINDS[kind].number)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        if process.stdout is None or not process.stdout.readline():
            raise SystemExit(f"The clients of the kind {kind!r} ended.")
        yield
    finally:
        process.kill()
        process.wait()


def probes_of(port: int, seconds: float) -> dict[str, Probes]:
    """Probe all paths at the same time for so many seconds."""
    probes = {path: Probes() for path in PATHS}
    threads = [Thread(target=_probe, args=(port, path, probes[path], time.monotonic() + seconds)) for path in PATHS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return probes


def _probe(port: int, path: str, probes: Probes, until: float) -> None:
    while time.monotonic() < until:
        start = time.perf_counter()
        connection = HTTPConnection("127.0.0.1", port, timeout=CLIENT_TIMEOUT_SECONDS)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}", "Connection": "close"})
            response = connection.getresponse()
            response.read()
            probes.failed += response.status != 200
        except (OSError, HTTPException):
            probes.failed += 1
        finally:
            connection.close()
        probes.seconds.append(time.perf_counter() - start)
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
