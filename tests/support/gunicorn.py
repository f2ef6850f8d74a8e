"""The service under gunicorn with its own settings, on embedded databases, for tests at the level of sockets."""

import atexit
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

from tests.support.service import APP, OURS, SECRETS, free_port

ROOT = APP.parent
START_SECONDS = 60.0
TOKEN = SECRETS["API_TOKEN"]


@dataclass(frozen=True)
class Gunicorn:
    """A running gunicorn, and its port."""

    process: subprocess.Popen[bytes]
    port: int

    def connect(self, *, timeout: float = 10) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    @contextmanager
    def connected(self, number: int) -> Iterator[list[socket.socket]]:
        """Keep so many connections open in this block."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.connect()) for _ in range(number)]

    def workers(self) -> set[int]:
        """Return the process ids of the workers."""
        pid = self.process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def worker_of(self, client: socket.socket) -> int | None:
        """Return the process id of the worker that has accepted this connection; None if no worker has."""
        ends = f"{self.port:04X}", f"{client.getsockname()[1]:04X}"
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inodes = {row[9] for row in rows if (row[1].rpartition(":")[2], row[2].rpartition(":")[2]) == ends}
        for worker in self.workers():
            files = (str(file.readlink()) for file in Path(f"/proc/{worker}/fd").iterdir() if file.is_symlink())
            if not inodes.isdisjoint(file.removeprefix("socket:[").removesuffix("]") for file in files):
                return worker
        return None

    def peak_kib(self) -> int:
        """Return the peak of the resident memory of the only worker since its start."""
        (worker,) = self.workers()
        status = Path(f"/proc/{worker}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def environment(data: Path) -> dict[str, str]:
    """Return an environment for the service, on SQLite files in the directory."""
    (data / "static").mkdir(exist_ok=True)
    given = {"DATA_DIR": str(data), "SERVED_OVER_HTTPS": "false", **SECRETS}
    inherited = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    return {**inherited, **given, "DJANGO_SETTINGS_MODULE": "config.settings"}


def database_environ(data: Path, *, users: int) -> dict[str, str]:
    """Return an environment for the service, with migrated databases that hold so many users."""
    copytree(_migrated(users), data, dirs_exist_ok=True)
    return environment(data)


@cache
def _migrated(users: int) -> Path:
    """Return a directory with these databases, made once for this run: five processes start for them."""
    made = TemporaryDirectory()
    atexit.register(made.cleanup)
    data = Path(made.name)
    environ = environment(data)
    for arguments in (["migrate_all"], ["seed", "--users", str(users), "--events", "0", "--customers", "0"]):
        subprocess.run([sys.executable, "manage.py", *arguments], cwd=APP, env=environ, check=True, capture_output=True)
    return data


@contextmanager
def serving(
    environ: Mapping[str, str],
    *options: str,
    application: str = "config.wsgi",
    max_files: int | None = None,
    log: Path | None = None,
) -> Iterator[Gunicorn]:
    """Run gunicorn with the settings of the service in this block, which begins when it answers.

    `max_files` is the number of files and connections that each of its processes may open; `log` gets its output.
    """
    port = free_port()
    command = [
        *(sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.conf.py", "--pythonpath", str(ROOT)),
        *("--bind", f"127.0.0.1:{port}", *options, application),
    ]
    if max_files is not None:
        command = ["sh", "-c", f'ulimit -n {max_files}; exec "$@"', "sh", *command]
    with nullcontext() if log is None else log.open("wb") as output:
        process = subprocess.Popen(command, cwd=APP, env={"DRAIN_SECONDS": "0", **environ}, stdout=output)
    try:
        service = Gunicorn(process, port)
        _wait_until_answers(service)
        yield service
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_until_answers(service: Gunicorn) -> None:
    deadline = time.monotonic() + START_SECONDS
    while service.process.poll() is None and time.monotonic() < deadline:
        try:
            with service.connect() as client:
                client.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
                if client.recv(100):
                    return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"gunicorn does not answer; its exit code is {service.process.poll()}.")
