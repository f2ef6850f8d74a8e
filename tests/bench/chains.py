"""Steps back in time: clients read in chains of five reads, over two standbys with different lag."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass

from tests.bench.pair import variables
from tests.bench.results import SMALL, Result, at_most
from tests.bench.rounds import environment
from tests.bench.serving import Client, served
from tests.support.faults import delayed
from tests.support.servers import Servers

CHAINS = {"switchyard": 200} if SMALL else {"switchyard": 10_000, "guide": 2_000, "multidb": 2_000}
READS = 5
CLIENTS = 6
COUNTER = "counter"
LAG = 0.3  # seconds, of the second standby
UP, DOWN = 2.0, 2.0  # seconds that the first standby is up, and down


@dataclass
class Seen:
    """The reads of the clients of one stack."""

    back: int = 0
    failed: int = 0
    aliases: frozenset[str] = frozenset()


def monotonic(servers: Servers) -> Iterator[Result]:
    """Yield the steps back of each stack, over the primary and both standbys."""
    with delayed(servers, "replica2", seconds=LAG):
        servers.ask("default", f"INSERT INTO bench_row (key, value) VALUES ('{COUNTER}', 1)")
        for alias in ("replica", "replica2"):
            servers.caught_up(alias)
        for stack, chains in CHAINS.items():
            environ = environment(stack, **variables(servers, "replica", "replica2"))
            with served(environ) as port, counting(servers), restarting(servers):
                seen = run(port, chains)
            print(f"{stack}: {seen}", file=sys.stderr)
            name, unit = f"{stack}, two standbys: reads that went back", f"of {chains * READS:,}"
            failed = f"{stack}, two standbys: reads", f"failed of {chains * READS:,}"
            if stack == "switchyard":
                yield at_most(name, seen.back, unit, 0)
                yield at_most(failed[0], seen.failed, failed[1], 0)
            else:
                yield Result(name, seen.back, unit)
                yield Result(failed[0], seen.failed, failed[1])


def run(port: int, chains: int) -> Seen:
    """Let clients read in chains; each chain is a new client."""
    numbers = iter(range(chains))
    with ThreadPoolExecutor(CLIENTS) as pool:
        parts = [part.result() for part in [pool.submit(read_chains, port, numbers) for _ in range(CLIENTS)]]
    return Seen(
        back=sum(part.back for part in parts),
        failed=sum(part.failed for part in parts),
        aliases=frozenset().union(*(part.aliases for part in parts)),
    )


def read_chains(port: int, numbers: Iterator[int]) -> Seen:
    """Read the counter five times in each chain. The counter never falls, so a lower value is a step back."""
    seen = Seen()
    with Client(port) as client:
        for _ in numbers:
            client.forget()
            highest = 0
            for _ in range(READS):
                answer = client.ask("GET", f"/rows/{COUNTER}")
                if answer.status != 200:
                    seen.failed += 1
                    continue
                value = answer.found["value"] or 0
                seen.back += value < highest
                seen.aliases |= {answer.found["alias"]}
                highest = max(highest, value)
    return seen


@contextmanager
def counting(servers: Servers) -> Iterator[None]:
    """Increase the counter on the primary in this block."""
    ended = threading.Event()

    def count() -> None:
        with closing(servers.admin("default")) as connection:
            while not ended.wait(0.002):
                connection.execute("UPDATE bench_row SET value = value + 1 WHERE key = %s", [COUNTER])

    yield from in_thread(count, ended)


@contextmanager
def restarting(servers: Servers) -> Iterator[None]:
    """Stop and start the first standby again and again in this block."""
    ended = threading.Event()

    def restart() -> None:
        while not ended.wait(UP):
            with servers.stopped("replica"):
                time.sleep(DOWN)

    yield from in_thread(restart, ended)


def in_thread(work: Callable[[], None], ended: threading.Event) -> Iterator[None]:
    """Run a context manager's block in a thread; the thread leaves the block when this block ends."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
