"""The time of a scrape of a service with four workers, before and after many of its workers were killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from statistics import median

from tests.bench.pair import KNOWN
from tests.bench.results import ROOT, SMALL
from tests.support.gunicorn import Gunicorn, serving
from tests.support.service import SECRETS, free_port
from tests.support.waiting import until

WORKERS = 4
RESTARTS = 12 if SMALL else 200
SCRAPES = 20 if SMALL else 100
CLIENTS = 32  # so that several threads of each worker count


def restarted(stack: str, environ: Mapping[str, str]) -> tuple[float, float]:
    """Return the seconds of a scrape before and after RESTARTS kills of workers."""
    options = ("--workers", str(WORKERS), "--log-level", "critical")
    with serving({**environ, **SECRETS}, *options, application="tests.bench.service.wsgi") as service:
        until(lambda: len(service.workers()) == WORKERS, "the workers run")
        load(service)
        with exporting(stack, environ, service) as port:
            before = seconds_of_a_scrape(port)
            for _ in range(RESTARTS // WORKERS):
                replace_workers(service)
                load(service)
            return before, seconds_of_a_scrape(port)


def replace_workers(service: Gunicorn) -> None:
    """Kill all workers, and wait for the next ones."""
    killed = service.workers()
    for worker in killed:
        os.kill(worker, signal.SIGKILL)
    until(lambda: len(service.workers() - killed) == WORKERS, "other workers run")


def load(service: Gunicorn) -> None:
    """Send requests over many connections at once, until each has an answer."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = set(pool.map(lambda _number: status_of(service.port, f"/wired/{KNOWN}"), range(4 * CLIENTS)))
    if statuses != {200}:
        raise SystemExit(f"The service answered {statuses}.")


def status_of(port: int, path: str) -> int:
    """Send a request over a new connection, and again if the worker that accepted it was killed."""
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
        except (OSError, HTTPException):
            time.sleep(0.1)
        else:
            return response.status
        finally:
            connection.close()


@contextmanager
def exporting(stack: str, environ: Mapping[str, str], service: Gunicorn) -> Iterator[int]:
    """Yield the port of `/metrics`: the exporter's, or the service's own with django-prometheus."""
    if stack == "prometheus":
        yield service.port
        return
    port = free_port()
    command = ["-m", "switchyard.telemetry.exporter", "--dir", environ["METRICS_DIR"], "--port", str(port)]
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=dict(environ))
    try:
        yield port
    finally:
        process.terminate()
        process.wait(timeout=60)


def seconds_of_a_scrape(port: int) -> float:
    """Return the median over SCRAPES scrapes."""
    status_of(port, "/metrics")
    times = []
    for _ in range(SCRAPES):
        began_at = time.perf_counter()
        if status_of(port, "/metrics") != 200:
            raise SystemExit("The scrape failed.")
        times.append(time.perf_counter() - began_at)
    return median(times)
