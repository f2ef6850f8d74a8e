"""Child processes that start and stop together, on a laptop. In a cluster each of them is a container of its own."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

_STOP_SECONDS = 10.0  # that all processes together have to stop; the rest is killed
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProcessError(Exception):
    """A process ended by itself, or does not answer."""


class Processes:
    """A context manager that stops the processes started in it. In it, SIGTERM and SIGHUP interrupt like Ctrl-C."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.default_int_handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Terminate all processes, and kill those that do not stop in time. A second Ctrl-C changes nothing."""
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in self._running.values():
            try:
                process.wait(timeout=max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, name: str, command: Sequence[str | os.PathLike[str]], *, environ: Mapping[str, str]) -> None:
        """Start a process in a process group of its own: Ctrl-C reaches this process only, which stops the others."""
        self._running[name] = subprocess.Popen(  # noqa: S603 - the service's own commands
            command, env=environ, cwd=self._directory, stdin=subprocess.DEVNULL, process_group=0
        )

    def wait_until_answers(self, name: str, port: int, path: str, *, seconds: float = 30) -> None:
        """Return once the process answers a GET of the path with 200.

        Raises ProcessError when the process ends, answers with another status, or does not answer in time.
        """
        deadline = time.monotonic() + seconds
        while (status := _status(port, path)) is None:
            if (code := self._running[name].poll()) is not None:
                raise ProcessError(_ended(name, code))
            if time.monotonic() > deadline:
                raise ProcessError(f"{name} did not answer at http://localhost:{port}{path} within {seconds:.0f} s.")
            time.sleep(0.05)
        if status != HTTPStatus.OK:
            raise ProcessError(f"{name} answered {status} at http://localhost:{port}{path}.")

    def wait_until_one_ends(self) -> NoReturn:
        """Wait until a process ends, and raise ProcessError."""
        while True:
            pid, status = os.wait()
            for name, process in self._running.items():
                if process.pid == pid:
                    raise ProcessError(_ended(name, os.waitstatus_to_exitcode(status)))


def _ended(name: str, code: int) -> str:
    return f"{name} ended " + (f"by {signal.Signals(-code).name}." if code < 0 else f"with exit code {code}.")


def _status(port: int, path: str) -> int | None:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
