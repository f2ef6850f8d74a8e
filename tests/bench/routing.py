"""The cost of a decision: `router.db_for_read(Model)` in instructions and nanoseconds, for four stacks of routers.

`make bench-routing`. Valgrind counts the instructions, so other load on the machine does not change them.
"""

import sys
from collections.abc import Iterator, Mapping
from statistics import median

from tests.bench.instructions import Build, Counts, images_python, this_python
from tests.bench.results import SMALL, Result, at_most, finish
from tests.bench.rounds import STACKS, contenders, environment, in_turn, ratio

BAR = 10_600  # instructions of the Django guide's routers, on a Python that is built with optimisation
RATIO_BAR = 1.0  # to the guide's routers in the same run
COUNTED = 1_000 if SMALL else 5_000
ROUNDS, CALLS = (20, 2_000) if SMALL else (200, 5_000)
TWO = "switchyard, two replicas"
MODULE = "tests.bench.decisions"
COMMON = ("read", "with an instance", "in a transaction")
OURS = ("the owner never opened", "in a request", "caught up", "pinned")
OF_TWO = ("having read the second best",)
# The most frequent decisions; no other decision may cost more than the guide's routers in the same case.
BARRED = ("read", "the owner never opened", "in a request", "caught up", *OF_TWO)


def main() -> int:
    """Measure, print and write; the exit code says whether all bars were kept."""
    environs = {stack: minimal(stack, "replica") for stack in STACKS} | {TWO: minimal("switchyard", "replica,replica2")}
    some = {name: environs[name] for name in ("switchyard", TWO, "guide")} if SMALL else environs
    results: list[Result] = []
    with images_python() as builds:
        # A start under valgrind takes half a minute: a small run counts once.
        for build in builds if SMALL and builds else [*builds, *this_python()]:
            results += counted(build, build.count(some, MODULE, COUNTED))
    workloads = {name: COMMON + OURS * name.startswith("switchyard") + OF_TWO * (name == TWO) for name in environs}
    with contenders(MODULE, environs) as started:
        turns = {f"{name}: {each}": (started[name], each) for name, some in workloads.items() for each in some}
        times = in_turn(turns, rounds=ROUNDS, calls=CALLS)
    return finish("routing", [*results, *timed(times)])


def minimal(stack: str, replicas: str) -> dict[str, str]:
    """Return the environment of a contender with these replicas."""
    return environment(stack, DJANGO_SETTINGS_MODULE="tests.bench.service.decision_settings", BENCH_REPLICAS=replicas)


def counted(build: Build, counts: Mapping[str, Counts]) -> Iterator[Result]:
    """Yield the instructions, and the ratios to the guide's routers, which hold for every build of Python."""
    for stack, workloads in counts.items():
        for workload, count in workloads.items():
            row = f"{build.name}: {stack}: {workload}", round(count), "instructions"
            barred = build.optimised and stack.startswith("switchyard") and workload in BARRED
            yield at_most(*row, BAR) if barred else Result(*row)
    for stack in ("switchyard", TWO):
        for workload, count in counts[stack].items():
            of = workload if workload in COMMON else "read"
            compared = (
                f"{build.name}: {stack}: {workload}, to the guide's {of}",
                round(count / counts["guide"][of], 3),
                "ratio",
            )
            if workload in BARRED:
                yield at_most(*compared, RATIO_BAR)
            elif workload in COMMON:
                yield at_most(*compared, 1)
            else:
                yield Result(*compared)


def timed(times: Mapping[str, list[float]]) -> Iterator[Result]:
    """Yield the times, and their ratios between the stacks."""
    for name, nanoseconds in times.items():
        yield Result(name, round(median(nanoseconds)), "ns")
    for stack in STACKS[1:]:
        value = ratio(times["switchyard: in a request"], times[f"{stack}: read"])
        yield Result(f"switchyard in a request, to {stack}", round(value, 3), "ratio of times")


if __name__ == "__main__":
    sys.exit(main())
