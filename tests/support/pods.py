"""Several pods of the service on this machine: each has its processes, its METRICS_DIR and its exporter."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tests.support.gunicorn import TOKEN, Gunicorn, serving
from tests.support.service import APP, free_port
from tests.support.waiting import until


@dataclass
class Pod:
    """A running pod."""

    service: Gunicorn
    metrics_dir: Path
    exporter_port: int
    exporter: "subprocess.Popen[bytes]"

    def start_exporter(self) -> None:
        """Start the exporter again after its end."""
        self.exporter = _exporter(self.metrics_dir, self.exporter_port)

    def ask(self, path: str, body: str | None = None) -> tuple[int, str]:
        """Send a request with the token of the API, POST with a body; return the status and the body."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        with closing(HTTPConnection("127.0.0.1", self.service.port, timeout=30)) as connection:
            connection.request("POST" if body else "GET", path, body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def data(self) -> dict[str, Any]:
        """Return the console's data."""
        status, body = self.ask("/console/data")
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    def timed_data(self) -> tuple[dict[str, Any], float]:
        """Return the console's data, and how many seconds the answer took."""
        begun_at = time.monotonic()
        found = self.data()
        return found, time.monotonic() - begun_at


def of_alias(data: Mapping[str, Any], alias: str) -> dict[str, Any]:
    """Return the part of the console's data about the alias."""
    (found,) = (each for each in data["aliases"] if each["alias"] == alias)
    part: dict[str, Any] = found
    return part


@contextmanager
def pods(environ: Mapping[str, str], directory: Path, number: int) -> Iterator[list[Pod]]:
    """Run so many pods in this block, with two workers each; all know all addresses, their own included."""
    ports = [free_port() for _ in range(number)]
    peers = ",".join(f"localhost:{port}" for port in ports)
    with ExitStack() as stack:
        yield [
            stack.enter_context(_pod({**environ, "CONSOLE_PEERS": peers}, directory / f"pod-{port}", port))
            for port in ports
        ]


@dataclass
class WorkerPod:
    """A running pod of the worker of references."""

    environ: Mapping[str, str]
    metrics_dir: Path
    exporter_port: int
    exporter: "subprocess.Popen[bytes]"
    process: "subprocess.Popen[bytes]"

    def restart(self, **environ: str) -> None:
        """Start the process of the worker again, with other variables: its exporter and its files stay."""
        self.end()
        self.process = _worker({**self.environ, **environ})

    def end(self) -> None:
        """End the process of the worker."""
        self.process.terminate()
        self.process.wait(timeout=60)


@contextmanager
def pod_and_worker(environ: Mapping[str, str], directory: Path) -> Iterator[tuple[Pod, WorkerPod]]:
    """Run a pod of the service and a pod of its worker in this block, with the peers that the chart names them."""
    service_port, worker_port = free_port(), free_port()
    given = {**environ, "CONSOLE_PEERS": f"localhost:{worker_port}"}
    metrics_dir = directory / "worker"
    metrics_dir.mkdir()
    with _pod(given, directory / "service", service_port) as pod:
        environ_of_worker = {**given, "METRICS_DIR": str(metrics_dir)}
        exporter, process = _exporter(metrics_dir, worker_port), _worker(environ_of_worker)
        worker = WorkerPod(environ_of_worker, metrics_dir, worker_port, exporter, process)
        try:
            yield pod, worker
        finally:
            worker.end()
            worker.exporter.kill()
            worker.exporter.wait()


def _worker(environ: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "manage.py", "crossdb_worker"], cwd=APP, env=environ)


@contextmanager
def _pod(environ: Mapping[str, str], metrics_dir: Path, port: int) -> Iterator[Pod]:
    with serving({**environ, "METRICS_DIR": str(metrics_dir)}, "--workers", "2") as service:
        pod = Pod(service, metrics_dir, port, _exporter(metrics_dir, port))
        try:
            yield pod
        finally:
            pod.exporter.kill()
            pod.exporter.wait()


def _exporter(metrics_dir: Path, port: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "switchyard.telemetry.exporter", "--dir", str(metrics_dir), "--port", str(port)]
    exporter = subprocess.Popen([*command, "--address", "127.0.0.1"], cwd=APP)
    until(lambda: _listens(port), "the exporter listens")
    return exporter


def _listens(port: int) -> bool:
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
