"""Rounds of several contenders in turn, A B C A B C, so that other load on the machine affects all of them alike."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median

from tests.bench.results import DIRECTORY, ROOT

PEERS = DIRECTORY / "peers"  # `make bench-*` installs the packages of others there
STACKS = ("switchyard", "plain", "guide", "multidb")
PACKAGES = {"multidb": "multidb", "prometheus": "django_prometheus"}  # stack -> the package of others that it needs


def environment(stack: str, **environ: str) -> dict[str, str]:
    """Return the environment of a process that serves the contender's stack."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DATABASE_")}
    if stack in PACKAGES and not (PEERS / PACKAGES[stack]).is_dir():
        raise SystemExit(f"{PACKAGES[stack]} is not in {PEERS}: run `make bench-routing`, which installs it.")
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "app", PEERS))),
        "PYTHONHASHSEED": "0",
        "DJANGO_SETTINGS_MODULE": "tests.bench.service.settings",
        "BENCH_STACK": stack,
        "API_TOKEN": "for-benchmarks",
        "SECRET_KEY": "for-benchmarks",
        **environ,
    }


@dataclass(frozen=True)
class Contender:
    """A running process that runs rounds."""

    name: str
    process: subprocess.Popen[str]

    def nanoseconds(self, workload: str, calls: int) -> int:
        """Return the nanoseconds of a round."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{workload} {calls}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"'{self.name}' ended in '{workload}': {self.process.wait()}")
        return int(line)


@contextmanager
def contenders(module: str, environs: Mapping[str, Mapping[str, str]], *options: str) -> Iterator[dict[str, Contender]]:
    """Yield a process for each name, with its environment and these options, that serves the module's workloads."""
    with ExitStack() as stack:
        started = {}
        for name, environ in environs.items():
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.bench.contender", module, *options],
                    env=dict(environ),
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.terminate)
            started[name] = Contender(name, process)
        yield started


type Turn = tuple[Contender, str]  # the contender and its workload


def in_turn(turns: Mapping[str, Turn], *, rounds: int, calls: int) -> dict[str, list[float]]:
    """Return the nanoseconds per call of each turn, round by round, without the first round, which warms up."""
    times: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        # Backwards in every other round: the order of the contenders must not matter.
        for name in list(turns)[:: 1 if number % 2 else -1]:
            contender, workload = turns[name]
            taken = contender.nanoseconds(workload, calls) / calls
            if number:
                times[name].append(taken)
    return times


def difference(times: Sequence[float], to: Sequence[float]) -> float:
    """Return the median of the rounds' differences."""
    return median(mine - other for mine, other in zip(times, to, strict=True))


def ratio(times: Sequence[float], to: Sequence[float]) -> float:
    """Return the median of the rounds' ratios."""
    return median(mine / other for mine, other in zip(times, to, strict=True))
