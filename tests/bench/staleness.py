"""The share of stale reads after a write: nine scenarios at three lags, for us, the guide's routers and multidb.

`make bench-staleness`. In the same runs other clients read rows that nobody writes: a replica must serve them.
"""

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.bench.pair import KNOWN, primary_with, variables
from tests.bench.results import ROOT, SMALL, Result, at_least, at_most, finish
from tests.bench.rounds import environment
from tests.bench.scenarios import HEADER_ONLY, OUTSIDE, SCENARIOS
from tests.bench.serving import Client, served
from tests.support.faults import delayed
from tests.support.servers import Servers

OURS = "switchyard"
PAIRS = {OURS: 60 if SMALL else 10_000, "guide": 20 if SMALL else 1_000, "multidb": 20 if SMALL else 1_000}
CLIENTS = 6
SHARE_BAR = 0.99  # of the reads without a required position
MAX_LAG = "3600"  # longer than the run: a paused replica stays fit

LAGS: dict[str, Callable[[Servers], AbstractContextManager[None]]] = {
    "natural lag": nullcontext,
    "250 ms": partial(delayed, seconds=0.25),
    "replay paused": Servers.held_back,
}


@dataclass(frozen=True)
class Stack:
    """A contender that serves requests."""

    name: str
    environ: Mapping[str, str]
    port: int


@dataclass
class Counts:
    """The counts of one run."""

    stale: int = 0
    others: int = 0  # reads without a required position
    others_on_replica: int = 0


def main() -> int:
    """Measure, print and write; the exit code says whether all bars were kept."""
    with primary_with("replica") as servers:
        return finish("staleness", list(stale(servers, PAIRS)))


def stale(servers: Servers, names: Iterable[str]) -> Iterator[Result]:
    """Yield the stale reads of these stacks at each lag."""
    with ExitStack() as running:
        stacks = []
        for name in names:
            environ = environment(name, **variables(servers, "replica"), BENCH_MAX_LAG=MAX_LAG)
            stacks.append(Stack(name, environ, running.enter_context(served(environ))))
        for lag, lagging in LAGS.items():
            servers.caught_up()
            with lagging(servers):
                for stack in stacks:
                    yield from measured(stack, lag)


def measured(stack: Stack, lag: str) -> Iterator[Result]:
    """Yield the stale reads of each scenario, and the aliases of the other clients' reads."""
    pairs = PAIRS[stack.name]
    others = on_replica = 0
    for scenario in (OUTSIDE, *SCENARIOS):
        if scenario == HEADER_ONLY and stack.name != OURS:
            continue  # no other stack has such a header
        counts = run(stack, scenario, secrets.token_hex(6), pairs)
        others, on_replica = others + counts.others, on_replica + counts.others_on_replica
        name, unit = f"{stack.name}, {lag}: {scenario}", f"stale of {pairs:,}"
        yield at_most(name, counts.stale, unit, 0) if stack.name == OURS else Result(name, counts.stale, unit)
        print(f"{name}: {counts}", file=sys.stderr)
    name, share = (
        f"{stack.name}, {lag}: reads without a required position, by the replica",
        round(on_replica / others, 5),
    )
    yield at_least(name, share, "share", SHARE_BAR) if stack.name == OURS else Result(name, share, "share")


def run(stack: Stack, scenario: str, prefix: str, pairs: int) -> Counts:
    """Run the pairs of the scenario, with a read of another client beside each pair."""
    if scenario == OUTSIDE:
        return run_outside(stack, prefix, pairs)
    numbers = iter(range(0, pairs, 2))  # shared: each client takes the next key, and writes it twice
    with ThreadPoolExecutor(CLIENTS) as pool:
        parts = [pool.submit(act, stack.port, SCENARIOS[scenario], prefix, numbers) for _ in range(CLIENTS)]
        counted = [part.result() for part in parts]
    return Counts(
        stale=sum(each.stale for each in counted),
        others=sum(each.others for each in counted),
        others_on_replica=sum(each.others_on_replica for each in counted),
    )


def act(port: int, scenario: Callable[[Client, str, int], Any], prefix: str, numbers: Iterator[int]) -> Counts:
    """Act as one client after another: write a key twice, and read it after each write."""
    counts = Counts()
    with Client(port) as client, Client(port) as other:
        for number in numbers:
            client.forget()
            for value in (1, 2):
                counts.stale += scenario(client, f"{prefix}-{number}", value) != value
                look(other, counts)
    return counts


def look(other: Client, counts: Counts) -> None:
    """Read as a client that never writes."""
    other.forget()
    found = other.ask("GET", f"/rows/{KNOWN}").found
    counts.others += 1
    counts.others_on_replica += found["alias"].startswith("replica")


def run_outside(stack: Stack, prefix: str, pairs: int) -> Counts:
    """Let a command run the pairs, while another client reads from the service."""
    counts = Counts()
    with (
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.outside", prefix, str(pairs)],
            env=dict(stack.environ),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
        Client(stack.port) as other,
    ):
        while process.poll() is None or counts.others < pairs // 10:
            look(other, counts)
        assert process.stdout
        if process.returncode:
            raise SystemExit(f"The command of '{stack.name}' ended with {process.returncode}.")
        counts.stale = int(process.stdout.read())
    return counts


if __name__ == "__main__":
    sys.exit(main())
