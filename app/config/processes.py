"""Child processes that live and end together, on a laptop. In a cluster each is a container of its own."""

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

_GRACE = 10.0
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ChildError(Exception):
    """A child ended by itself, or does not serve."""


class Children:
    """A context that ends every child started in it, and in which SIGTERM and SIGHUP interrupt as ^C does."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        for number in _STOPPING:
            signal.signal(number, signal.default_int_handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ask all to end, and end those that take too long; a second ^C does not cut this short."""
        for number in _STOPPING:
            signal.signal(number, signal.SIG_IGN)
        for child in self._running.values():
            child.terminate()
        deadline = time.monotonic() + _GRACE
        for child in self._running.values():
            try:
                child.wait(timeout=max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def start(self, name: str, command: Sequence[str | os.PathLike[str]], *, environ: Mapping[str, str]) -> None:
        """Start a child out of the terminal's reach: ^C comes to this process alone, which ends its children."""
        self._running[name] = subprocess.Popen(  # noqa: S603 - the service's own commands
            command, env=environ, cwd=self._directory, stdin=subprocess.DEVNULL, process_group=0
        )

    def wait_until_answers(self, name: str, port: int, path: str, *, seconds: float = 30) -> None:
        """Return once the child answers a GET of the path. Raises ChildError when it ends, errs or takes too long."""
        deadline = time.monotonic() + seconds
        while (status := _status(port, path)) is None:
            if (code := self._running[name].poll()) is not None:
                raise ChildError(_ended(name, code))
            if time.monotonic() > deadline:
                raise ChildError(f"{name} did not answer at http://localhost:{port}{path} within {seconds:.0f} s.")
            time.sleep(0.05)
        if status != HTTPStatus.OK:
            raise ChildError(f"{name} answered {status} at http://localhost:{port}{path}.")

    def wait_for_an_end(self) -> NoReturn:
        """Sleep until some child ends, and raise ChildError."""
        while True:
            ended, status = os.wait()
            for name, child in self._running.items():
                if child.pid == ended:
                    raise ChildError(_ended(name, os.waitstatus_to_exitcode(status)))


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
