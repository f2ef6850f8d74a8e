"""The processes of `migrate_all`: a `migrate` for each alias. Django's code of migrations is not made for threads."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple

from switchyard.migrations._exit_codes import MAY_RETRY
from switchyard.migrations._stopping import stop_requested

# The line that names an error, of a command or at the end of a traceback, such as `django.db.utils.DataError: ...`
_ERROR = re.compile(r"(?:\w+\.)*[A-Z]\w*[a-z]\w*(: |$)")
_CHECK = re.compile(r"\(\w+\.[CEW]\d+\) ")


class Ended(NamedTuple):
    """How one process ended. `error` names in one line why it failed; empty if it succeeded."""

    code: int
    error: str
    seconds: float


class MigrateProcesses:
    """Run `migrate` on several aliases at once, from several threads. `report` takes each line of their stderr."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._running: list[subprocess.Popen[str]] = []

    def run(self, alias: str, *arguments: str) -> Ended:
        """Run one `migrate` and wait for its end. After SIGTERM none starts."""
        if stop_requested():
            return Ended(MAY_RETRY, "stopped by SIGTERM before it began", 0.0)
        start = time.monotonic()
        command = ["migrate", *arguments, f"--database={alias}", "--no-input", "--no-color"]
        with (
            tempfile.TemporaryFile("w+") as output,
            subprocess.Popen(  # noqa: S603 - this interpreter, and names of the settings
                [sys.executable, "-m", "django", *command],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
            ) as process,
        ):
            self._running.append(process)
            errors = self._relay(alias, process)
            code = process.wait()
            self._running.remove(process)
            output.seek(0)
            error = reason(errors or output.read()) if code else ""
        return Ended(code, error, round(time.monotonic() - start, 2))

    def terminate(self) -> None:
        """Send SIGTERM to all running processes. Takes no lock, so a handler of signals may call it."""
        for process in tuple(self._running):
            process.terminate()

    def _relay(self, alias: str, process: subprocess.Popen[str]) -> str:
        """Report each line of stderr as it comes, with the alias; return all of them."""
        lines = []
        for line in process.stderr or ():
            self._report(f"{alias}: {line.rstrip()}")
            lines.append(line)
        return "".join(lines)


def reason(output: str) -> str:
    """Return the line that names the error. Hints, details and the excerpt of a statement may follow it."""
    lines = output.strip().rpartition("\nTraceback ")[2].splitlines() or ["it ended without a word"]
    raised = next((line for line in lines if _ERROR.match(line)), lines[-1])
    if raised.startswith("SystemCheckError"):
        return next((line for line in lines[lines.index(raised) :] if _CHECK.search(line)), raised)
    return raised
