"""One contender: a process with its own routers and middleware, which runs rounds of work on demand.

`python -m tests.bench.contender MODULE` reads lines "workload calls" and answers each with the nanoseconds of the
round; with `--cpu` with the nanoseconds for which its thread had a processor, without the waits for a server. With
`--count=N` it forks once per workload for 0 calls, 1,000 and 1,000 + N. Under valgrind each child reports its
instructions at its end, and the difference of the last two children is that of N calls. The children print "pid
workload calls".
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from itertools import repeat

import django

type Workload = Callable[[], AbstractContextManager[Callable[[], object]]]

WARM = 1_000  # calls before the counted calls


def main() -> None:
    """Serve rounds, or be counted."""
    parser = argparse.ArgumentParser(
        description="Run rounds of a contender's workloads, as the lines of standard input say."
    )
    parser.add_argument("module")
    parser.add_argument("--count", type=int)
    parser.add_argument("--cpu", action="store_true")
    asked = parser.parse_args()
    django.setup()
    workloads: Mapping[str, Workload] = import_module(asked.module).WORKLOADS
    if asked.count:
        counted(workloads, asked.count)
        return
    for line in sys.stdin:
        name, _, calls = line.rpartition(" ")
        print(
            round_of(workloads[name], int(calls), time.thread_time_ns if asked.cpu else time.perf_counter_ns),
            flush=True,
        )


def round_of(workload: Workload, calls: int, clock: Callable[[], int] = time.perf_counter_ns) -> int:
    """Return the nanoseconds of this number of calls."""
    with workload() as call:
        start = clock()
        for _ in repeat(None, calls):
            call()
        return clock() - start


def counted(workloads: Mapping[str, Workload], calls: int) -> None:
    """Run each workload in two processes of its own, one with `calls` more calls than the other."""
    for name, workload in workloads.items():
        for number in (WARM, WARM + calls):
            process = os.fork()
            if not process:
                round_of(workload, number)
                os._exit(0)
            _, status = os.waitpid(process, 0)
            if status:
                raise SystemExit(f"'{name}' ended with {status}.")
            print(f"{process} {number} {name}", flush=True)


if __name__ == "__main__":
    main()
