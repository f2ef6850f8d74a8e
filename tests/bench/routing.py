"""What a decision costs: `router.db_for_read(Model)` in instructions and nanoseconds, for four stacks of routers.

`make bench-routing`. Instructions are counted by valgrind and do not depend on what else the machine does.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from tests.bench.results import ROOT, SMALL, Result, at_most, finish
from tests.bench.rounds import STACKS, contenders, environment, in_turn, ratio

BAR = 7_000  # instructions
COUNTED = 1_000 if SMALL else 5_000
ROUNDS, CALLS = (20, 2_000) if SMALL else (200, 5_000)
TWO = "switchyard, two replicas"
MODULE = "tests.bench.decisions"
COMMON = ("read", "with an instance", "in a transaction")
OURS = ("the owner never opened", "in a request", "owing a covered position", "owing a position to come")


def main() -> int:
    """Measure, print and write; the exit code says whether the bars were kept."""
    environs = {stack: minimal(stack, "replica") for stack in STACKS} | {TWO: minimal("switchyard", "replica,replica2")}
    if shutil.which("valgrind"):
        # A start under valgrind takes half a minute.
        some = {name: environs[name] for name in ("switchyard", "guide")} if SMALL else environs
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # counts, unlike times, do not mind company
            counts = dict(zip(some, pool.map(instructions, some.values()), strict=True))
    else:
        print("left out: instructions (valgrind is not installed)", file=sys.stderr)
        counts = {}
    workloads = {name: COMMON + OURS * name.startswith("switchyard") for name in environs}
    with contenders(MODULE, environs) as started:
        turns = {f"{name}: {each}": (started[name], each) for name, some in workloads.items() for each in some}
        times = in_turn(turns, rounds=ROUNDS, calls=CALLS)
    return finish("routing", [*counted(counts), *timed(times)])


def minimal(stack: str, replicas: str) -> dict[str, str]:
    """Return the environment of a contender with these replicas."""
    return environment(stack, DJANGO_SETTINGS_MODULE="tests.bench.service.decision_settings", BENCH_REPLICAS=replicas)


def instructions(environ: Mapping[str, str]) -> dict[str, float]:
    """Return the instructions per call of each workload."""
    ran = subprocess.run(
        [
            *("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"),
            *(sys.executable, "-m", "tests.bench.contender", MODULE, f"--count={COUNTED}"),
        ],
        env=dict(environ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise SystemExit(f"valgrind ended with {ran.returncode}:\n{ran.stderr[-2000:]}")
    total = {pid: int(count.replace(",", "")) for pid, count in re.findall(r"==(\d+)== I +refs: +([\d,]+)", ran.stderr)}
    runs: dict[str, list[int]] = {}
    for pid, name in re.findall(r"^(\d+) \d+ (.+)$", ran.stdout, re.MULTILINE):
        runs.setdefault(name, []).append(total[pid])
    return {name: (longer - shorter) / COUNTED for name, (shorter, longer) in runs.items()}


def counted(counts: Mapping[str, Mapping[str, float]]) -> Iterator[Result]:
    """Yield the instructions; ours have the bar."""
    for stack, workloads in counts.items():
        for workload, count in workloads.items():
            name = f"{stack}: {workload}"
            if stack.startswith("switchyard"):
                yield at_most(name, round(count), "instructions", BAR)
            else:
                yield Result(name, round(count), "instructions")
    # Much the same for every build of Python, which instructions are not: one without PGO takes a third more.
    for stack in STACKS[1:]:
        if stack in counts:
            value = counts["switchyard"]["in a request"] / counts[stack]["read"]
            yield Result(f"switchyard in a request, to {stack}", round(value, 3), "ratio of instructions")


def timed(times: Mapping[str, list[float]]) -> Iterator[Result]:
    """Yield the times, and how the stacks compare."""
    for name, nanoseconds in times.items():
        yield Result(name, round(median(nanoseconds)), "ns")
    for stack in STACKS[1:]:
        value = ratio(times["switchyard: in a request"], times[f"{stack}: read"])
        yield Result(f"switchyard in a request, to {stack}", round(value, 3), "ratio of times")


if __name__ == "__main__":
    sys.exit(main())
