"""The most memory that a workload takes beyond what its process has before, in a process of its own.

`python -m tests.bench.peaks MODULE WORKLOAD BEFORE` runs the workload BEFORE, which opens the connections and loads the
modules, then WORKLOAD, and prints the bytes. Only Linux: the kernel keeps the peak.
"""

import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import django
from tests.bench.contender import Workload, round_of
from tests.bench.results import ROOT

_RESET_PEAK = "5"  # proc_pid_clear_refs(5)


def peak_bytes(module: str, environ: Mapping[str, str], workload: str, *, before: str) -> int:
    """Return the bytes, as a new process with this environment finds them."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench.peaks", module, workload, before],
        env=dict(environ),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(run.stdout)


def main() -> None:
    """Run both workloads and print the bytes."""
    module, workload, before = sys.argv[1:]
    django.setup()
    workloads: Mapping[str, Workload] = import_module(module).WORKLOADS
    round_of(workloads[before], 1)
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    base = _status_bytes("VmRSS")
    round_of(workloads[workload], 1)
    print(_status_bytes("VmHWM") - base)


def _status_bytes(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


if __name__ == "__main__":
    main()
