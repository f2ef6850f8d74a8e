"""The service as `make run` starts it, for tests that send it HTTP requests."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

import pytest

APP = Path(__file__).resolve().parents[2] / "app"
DRIVERS = ("psycopg", "psycopg2", "MySQLdb")
SECRETS = {"SECRET_KEY": "only-for-tests-" * 4, "API_TOKEN": "only-for-tests-" * 3}
TOKEN = "local-development-token-not-secret"  # of a service that `manage.py run` starts
OURS = re.compile(r"DATABASE_|SECRET_KEY|API_TOKEN|METRICS_|DATA_DIR|PORT|SERVED_|LOG_|LEGACY_")


@dataclass
class Service:
    """A running `manage.py run`, with its ports and its output up to the line that says that it is ready."""

    process: subprocess.Popen[Any]
    port: int
    metrics_port: int
    said: str
    rest: IO[str]  # reads the output after that line

    def ask(self, method: str, path: str, body: str | None = None, *, port: int | None = None) -> tuple[int, str]:
        """Send a request with the API token of a first run; return the status and the body."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        with closing(HTTPConnection("localhost", port or self.port, timeout=30)) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def descendants(self) -> dict[int, str]:
        """Return process id -> command of all child processes, and of their children."""
        rows = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
        table = [
            (int(pid), int(parent), args) for pid, parent, args in (row.split(None, 2) for row in rows.splitlines())
        ]
        found: dict[int, str] = {}
        parents = {self.process.pid}
        while parents:
            below = {pid: args for pid, parent, args in table if parent in parents}
            found |= below
            parents = set(below)
        return found

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal, wait for the end, and return the exit code and the rest of the output."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30), self.rest.read()


def embedded_environ(data_dir: Path, without_drivers: Path) -> dict[str, str]:
    """Return an environment for the embedded default: without the variables of the service and without drivers.

    `data_dir` holds the SQLite files. The modules in `without_drivers` replace the drivers and raise an error.
    """
    for driver in DRIVERS:
        (without_drivers / f"{driver}.py").write_text(
            "raise ModuleNotFoundError('a driver was imported', name=__name__)\n"
        )
    inherited = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    return inherited | {"PYTHONPATH": str(without_drivers), "DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1"}


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def listens(port: int) -> bool:
    """Return True if the port accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(environ: Mapping[str, str], *, app: Path = APP) -> Iterator[Service]:
    """Run the service of a checkout's directory `app` in this block, which begins when the service is ready."""
    port, metrics_port = free_port(), free_port()
    # A file, because the service logs a line for each request: a pipe that nobody reads would stop it when it is full.
    with NamedTemporaryFile() as output, Path(output.name).open() as reader:
        process = subprocess.Popen(
            [sys.executable, str(app / "manage.py"), "run"],
            env={**environ, "PORT": str(port), "METRICS_PORT": str(metrics_port)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        said = ""
        try:
            while "Ctrl-C stops it" not in said:
                ended = process.poll() is not None  # before the read: the output is complete then
                said += (line := reader.readline())
                if ended and not line:
                    pytest.fail(f"The service ended: {said}")
                if not line:
                    time.sleep(0.02)
            yield Service(process, port, metrics_port, said, reader)
        finally:
            process.terminate()
            process.wait(timeout=30)
