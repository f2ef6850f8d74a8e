"""The thread that keeps what happens: in each process that opens a connection, also in a forked one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

APP = Path(__file__).parents[5] / "app"

PROGRAM = """
import os, time
import django
django.setup()
from django.db import connections
from switchyard.telemetry.recent import recorder

def samples():
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        recording = recorder.recent().history.recording(time.time())
        failed = [each["errors"] for each in recorder.recent().statements.newest(0.0)]
        if recording.samples and failed:
            return recording.samples[-1].values, failed
        time.sleep(0.01)

def fail():
    try:
        connections["analytics"].cursor().execute("SELECT 1 FROM missing")
    except Exception:
        pass

"""
ALONE = PROGRAM + "fail(); print(samples()[1])"
FORKED = (
    PROGRAM
    + """
fail(); samples(); connections.close_all()
if child := os.fork():
    os.waitpid(child, 0)
    print(samples()[1])
else:
    fail()
    while samples()[1] != [{"OperationalError": 2}]:
        time.sleep(0.01)
    os._exit(0)
"""
)


def run(program: str, tmp_path: Path, **environ: str) -> str:
    """Run a program of the service on files of the test's own; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        cwd=APP,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "DATA_DIR": str(tmp_path), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("shared", [False, True])
def test_recorder__first_connection(shared: bool, tmp_path: Path) -> None:
    """From the first connection on, the thread samples the counters and keeps the statements that fail."""
    environ = {"METRICS_DIR": str(tmp_path)} if shared else {}

    assert run(ALONE, tmp_path, **environ) == "[{'OperationalError': 1}]"


def test_recorder__forked_process(tmp_path: Path) -> None:
    """A forked process has a thread of its own, and its parent sees its statements."""
    assert run(FORKED, tmp_path, METRICS_DIR=str(tmp_path)) == "[{'OperationalError': 2}]"
