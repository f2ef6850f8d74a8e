"""Run the tests of the small project in `project/`, as its developers would: each run is a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[4]
DJANGO = ("-m", "django", "test", "shop", "--noinput")
PYTEST = ("-m", "pytest", "-q", "-c", "pytest.ini", "-p", "no:cacheprovider", "shop/tests.py")
ORDERS = (("default", "replica"), ("replica", "default"))


def databases(entry: Mapping[str, Any], order: tuple[str, ...]) -> str:
    """Return DATABASES as JSON, in this order: `default` with the entry, and `replica` as its mirror."""
    mirror = {**entry, "TEST": {"MIRROR": "default"}}
    entries = {"default": entry, "replica": mirror}
    return json.dumps({alias: entries[alias] for alias in order})


def passed(directory: Path, databases_json: str, *command: str) -> str:
    """Run the Python command on a copy of the project in the directory; return its output if its tests pass."""
    shutil.copytree(Path(__file__).with_name("project"), directory, dirs_exist_ok=True)
    (directory / "conftest.py").write_text('pytest_plugins = ["switchyard.testing.fixtures"]\n')
    (directory / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=directory,
        env={
            **os.environ,
            "DATABASES": databases_json,
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "app"), str(directory)]),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "accessed by other users" not in output, output
    assert "Exception ignored" not in output, output
    return output
