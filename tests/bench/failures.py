"""Reads while servers fail, with and without a pool of connections, and steps back in time.

`make bench-failures`. A standby fails in seven ways, the primary is stopped and hangs; then clients read in chains over
two standbys with different lag, one of which stops and starts.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial

from tests.bench.chains import in_thread, monotonic
from tests.bench.pair import KNOWN, primary_with, variables
from tests.bench.reading import reading
from tests.bench.results import SMALL, Result, at_most, finish
from tests.bench.rounds import environment
from tests.bench.serving import Client, served
from tests.support.faults import cut_off, promoted, rebuild, rebuilt_from_another_system
from tests.support.servers import Servers

OURS = "switchyard"
READS = 300 if SMALL else 4_000  # at least, for each way to fail
BEFORE, DURING, AFTER = (0.5, 4.0, 3.0) if SMALL else (2.0, 6.0, 5.0)  # seconds
MAX_LAG = 2.0
BACK_BAR = 2.0  # seconds from the repair to the last read elsewhere
LEFT_BAR = 1.0  # seconds to the last read of a standby that must not be read and still answers
WRITE_BAR = 2.0  # seconds until a write is refused while the primary is down
POOL = "?pool_min_size=2&pool_max_size=8"

type Fault = Callable[[Servers], AbstractContextManager[None]]


@contextmanager
def rebuilt(servers: Servers) -> Iterator[None]:
    """Remove the standby's data and clone it again."""
    rebuild(servers)
    yield


FAULTS: Mapping[str, Fault] = {
    "standby stopped": partial(Servers.stopped, alias="replica"),
    "standby hung": partial(Servers.paused, alias="replica"),
    "replay paused past MAX_LAG_SECONDS": Servers.held_back,
    "cut off from its primary": cut_off,
    "promoted": promoted,
    "rebuilt": rebuilt,
    "rebuilt from another system": rebuilt_from_another_system,
}
# Faults with a standby that still answers: how long it may be read.
MAY_BE_READ = {
    "replay paused past MAX_LAG_SECONDS": MAX_LAG + LEFT_BAR,
    "cut off from its primary": MAX_LAG + LEFT_BAR,
    "promoted": LEFT_BAR,
}
PRIMARY_FAULTS: Mapping[str, Fault] = {
    "primary stopped": partial(Servers.stopped, alias="default"),
    "primary hung": partial(Servers.paused, alias="default"),
}
IN_SMALL = {"standby stopped", "standby hung", "primary stopped"}
FOR_OTHERS = {"standby stopped", "standby hung", "promoted"}


def main() -> int:
    """Measure, print and write; the exit code says whether all bars were kept."""
    stacks = [(OURS, "")] if SMALL else [(OURS, ""), (OURS, POOL), ("guide", ""), ("multidb", "")]
    with primary_with("replica", "replica2") as servers:
        servers.start_postgres("analytics")  # the other system, unknown to the service
        servers.answers("analytics")
        return finish("failures", [*failing(servers, stacks), *monotonic(servers)])


def failing(servers: Servers, stacks: Iterable[tuple[str, str]]) -> Iterator[Result]:
    """Yield the results of these stacks, each with the query of its URLs, over the primary and one standby."""
    for stack, query in stacks:
        environ = environment(stack, **variables(servers, "replica", query=query), BENCH_MAX_LAG=str(MAX_LAG))
        with served(environ) as port, written_to(servers):
            yield from under_faults(servers, port, stack, ", pool" if query else "")


def under_faults(servers: Servers, port: int, stack: str, pool: str) -> Iterator[Result]:
    """Yield the results of reads under each fault, and of writes while the primary fails."""
    for what, fault in (FAULTS | PRIMARY_FAULTS).items():
        if (SMALL and what not in IN_SMALL) or (stack != OURS and what not in FOR_OTHERS):
            continue
        servers.caught_up()
        time.sleep(BACK_BAR)  # the earlier fault is over
        run = with_primary_down if what in PRIMARY_FAULTS else with_standby_down
        for result in run(servers, port, what, fault):
            named = Result(f"{stack}{pool}, {what}: {result.name}", result.value, result.unit)
            yield named if stack != OURS else Result(named.name, result.value, result.unit, result.bar, result.ok)


def with_standby_down(servers: Servers, port: int, what: str, fault: Fault) -> Iterator[Result]:
    """Yield the results of reads before, while and after the standby fails."""
    with reading(port) as readers:
        time.sleep(BEFORE)
        with fault(servers):
            failed_at = time.monotonic()
            time.sleep(DURING)
            ends_at = time.monotonic()
        repaired_at = time.monotonic()
        time.sleep(AFTER)
        readers.wait_for(READS)
    for read in readers.failures[:3]:
        print(f"{what}, {read.began - failed_at:+.3f} s: {read.failure}", file=sys.stderr)
    yield at_most("reads", len(readers.failures), f"failed of {len(readers.reads):,}", 0)
    yield Result("slowest read", round(readers.slowest(), 3), "s")
    if what in MAY_BE_READ:
        last = readers.last_by("replica", since=failed_at, until=ends_at)
        yield at_most("last read by the standby after", round(last, 3), "s", MAY_BE_READ[what])
    back = readers.last_by("default", since=repaired_at, until=time.monotonic())
    yield at_most("last read elsewhere after the repair", round(back, 3), "s", BACK_BAR)


def with_primary_down(servers: Servers, port: int, what: str, fault: Fault) -> Iterator[Result]:
    """Yield the results of reads and writes while the primary fails."""
    statuses: list[int] = []
    seconds: list[float] = []
    with reading(port) as readers, Client(port) as client:
        time.sleep(BEFORE)
        with fault(servers):
            ends_at = time.monotonic() + DURING
            while time.monotonic() < ends_at:
                answer = client.ask("POST", f"/write/204/{KNOWN}/2", cookies=False)
                statuses.append(answer.status)
                seconds.append(answer.seconds)
                time.sleep(0.05)
        repaired_at = time.monotonic()
        while client.ask("POST", f"/write/204/{KNOWN}/2", cookies=False).status != 204:
            time.sleep(0.05)
        yield at_most("writes again after the repair", round(time.monotonic() - repaired_at, 3), "s", BACK_BAR)
        readers.wait_for(READS)
    for read in readers.failures[:3]:
        print(f"{what}: {read.failure}", file=sys.stderr)
    yield at_most("reads", len(readers.failures), f"failed of {len(readers.reads):,}", 0)
    yield Result("slowest read", round(readers.slowest(), 3), "s")
    yield at_most("writes", sum(status != 503 for status in statuses), f"not refused of {len(statuses):,}", 0)
    yield at_most("slowest refusal", round(max(seconds), 3), "s", WRITE_BAR)


@contextmanager
def written_to(servers: Servers) -> Iterator[None]:
    """Let another client write on the primary in this block: without writes nothing lags."""
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            with suppress(Exception), closing(servers.admin("default")) as connection:
                while not ended.wait(0.05):
                    connection.execute("INSERT INTO bench_row (key, value) VALUES (gen_random_uuid(), 1)")

    yield from in_thread(write, ended)


if __name__ == "__main__":
    sys.exit(main())
