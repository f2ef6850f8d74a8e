"""Run commands of the project in `empty_default/`, each in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def python(databases: Mapping[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments and these aliases beside the empty `default`."""
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASES": json.dumps(databases),
            "DJANGO_SETTINGS_MODULE": "tests.support.empty_default.settings",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "app"), str(ROOT)]),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def manage(databases: Mapping[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a management command of the project."""
    return python(databases, "-m", "django", *arguments)


def answers(databases: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers of the project to the requests of `drive.py`."""
    process = python(databases, "-m", "tests.support.empty_default.drive")
    assert process.returncode == 0, process.stderr
    said: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return said
