"""One database fails under 40 clients: what do the requests of the other databases notice?

`make bench-isolation`. Each database in turn is stopped, paused, hangs, refuses connections, and is black-holed. The
real service runs with two workers of eight threads. The bars begin with the second second of a fault.
`python -m tests.bench.isolation --cluster` measures the release of `make kind-up` instead.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rich.progress import track
from tests.bench.crowd import TOKEN, Answered, Asking, crowd
from tests.bench.pair import direct
from tests.bench.results import DIRECTORY, ROOT, SMALL, Result, at_most, exit_without_servers, finish
from tests.e2e import faults as cluster_faults
from tests.e2e.cluster import Cluster
from tests.support.faults import black_holed, hanging, refusing
from tests.support.servers import Servers, four_servers
from tests.support.service import APP, OURS, free_port
from tests.support.waiting import until

KEY = "for-benchmarks-only-and-long-enough-to-be-accepted-by-the-service"
CLIENTS = 40
ALIASES = ("legacy", "analytics", "replica", "default")
BEFORE_SECONDS, DURING_SECONDS, AFTER_SECONDS = (2.0, 5.0, 4.0) if SMALL else (4.0, 8.0, 4.0)
DURING_IN_CLUSTER_SECONDS = 30.0  # Kubernetes sends no request to a pod that was not ready for 15 seconds
VERDICT_SECONDS = 1.0  # from the fault until its requests are refused
SLOWER_BAR_SECONDS = 0.1
REFUSAL_BAR_SECONDS = 0.1
BACK_BAR_SECONDS = 2.0

type Fault = Callable[[Servers, str], AbstractContextManager[None]]

FAULTS: Mapping[str, Fault] = {
    "stopped": Servers.stopped,
    "paused": Servers.paused,
    "hanging": hanging,
    "refusing": refusing,
    "black-holed": black_holed,
}
IN_SMALL = {("legacy", "hanging"), ("analytics", "black-holed")}


class Pauses(NamedTuple):
    """The seconds between two requests of a client."""

    failing_seconds: float  # of each of the 40 clients of the failing database
    others_seconds: float


FULL_LOAD = Pauses(failing_seconds=0.2, others_seconds=0.05)


@dataclass(frozen=True)
class Run:
    """The answers around one fault: of the clients of the failing database, and of the others."""

    failing: list[Answered]
    others: Mapping[str, list[Answered]]
    failed_at: float
    repair_at: float  # the begin of the repair
    repaired_at: float

    def slower_seconds(self, asked: str) -> float:
        """Return by how much the 99th percentile of the requests is greater from the second second on."""
        before = [each.seconds for each in self.others[asked] if each.began_at < self.failed_at - 0.5]
        return percentile_99(self.waits(self.others[asked])) - percentile_99(before)

    def during(self, answers: list[Answered]) -> list[Answered]:
        """Return the answers of the second second of the fault and later, until the repair."""
        known_at = self.failed_at + VERDICT_SECONDS
        return [each for each in answers if each.ended_at > known_at and each.ended_at < self.repair_at]

    def waits(self, answers: list[Answered]) -> list[float]:
        """Return the seconds that each of these answers took from the second second of the fault on."""
        known_at = self.failed_at + VERDICT_SECONDS
        return [each.ended_at - max(each.began_at, known_at) for each in self.during(answers)]

    def refusals(self) -> list[Answered]:
        """Return the answers to the failing database's requests: begun in the fault, answered after its first second.

        A request that wrote before the fault may succeed later: only its position is unknown.
        """
        return [each for each in self.during(self.failing) if each.began_at >= self.failed_at]

    def failed(self, asked: str) -> list[Answered]:
        """Return the answers to failed requests, from the begin to the end."""
        return [each for each in self.others[asked] if each.status not in {200, 201}]

    def back_seconds(self) -> float:
        """Return the seconds from the repair to the last refused request for the database."""
        refused = [each.began_at for each in self.failing if each.status not in {200, 201}]
        return max([*refused, self.repaired_at]) - self.repaired_at


def percentile_99(seconds: list[float]) -> float:
    """Return the value that 99 % of these do not exceed."""
    return quantiles(seconds, n=100, method="inclusive")[98]


@exit_without_servers()
def main() -> int:
    """Measure, print and write; the exit code says whether all bars were kept."""
    parser = argparse.ArgumentParser(description="Measure the requests of the other databases while one fails.")
    parser.add_argument("--cluster", action="store_true", help="measure the release of `make kind-up`")
    parser.add_argument("--aliases", nargs="*", default=ALIASES, choices=ALIASES)
    parser.add_argument("--faults", nargs="*", default=list(FAULTS), choices=list(FAULTS))
    options = parser.parse_args()
    chosen = [pair for pair in product(options.aliases, options.faults) if not SMALL or pair in IN_SMALL]
    if options.cluster:
        return finish("isolation-cluster", [*measured_in_cluster(chosen)])
    with four_servers() as servers, serving(servers) as port:
        return finish("isolation", [*measured(servers, port, chosen)])


@contextmanager
def serving(servers: Servers) -> Iterator[int]:
    """Migrate the servers, and run the service on the addresses of their containers; yield its port."""
    inherited = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    port, log = free_port(), DIRECTORY / "isolation.log"
    environ = {**inherited, "SECRET_KEY": KEY, "API_TOKEN": TOKEN, "SERVED_OVER_HTTPS": "false", "PORT": str(port)}
    manage = [sys.executable, str(APP / "manage.py"), "migrate_all"]
    subprocess.run(manage, env={**environ, **servers.environ("migrator")}, check=True, stdout=subprocess.DEVNULL)
    servers.caught_up()
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output, TemporaryDirectory() as directory:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", str(APP / "config" / "gunicorn.conf.py"), "config.wsgi"],
            env={**environ, **direct(servers), "DATA_DIR": directory},
            cwd=APP,
            stdout=output,
            stderr=output,
        )
        try:
            until(lambda: _is_ready(port), f"the service is ready; {log} says why not", seconds=180)
            yield port
        finally:
            process.terminate()
            process.wait(timeout=60)


def _is_ready(port: int) -> bool:
    asking = Asking(port, "readyz", 1, 0.1)
    return asking.once().status == 200


def measured(servers: Servers, port: int, chosen: Sequence[tuple[str, str]]) -> Iterator[Result]:
    """Yield the results of each chosen pair of an alias and a fault."""
    for alias, what in track(chosen, "faults"):
        run = during_fault(port, alias, partial(FAULTS[what], servers, alias), during_seconds=DURING_SECONDS)
        yield from _results(f"{alias} {what}", alias, run)


def measured_in_cluster(chosen: Sequence[tuple[str, str]]) -> Iterator[Result]:
    """Yield the same results of the release of `make kind-up`, and the restarts of its pods."""
    cluster = Cluster("switchyard", 8000, 9464, kubeconfig=ROOT / ".kubeconfig", source=ROOT)
    for alias, what in track(chosen, "faults"):
        before = cluster.restarts("service")
        fault = partial(cluster_faults.FAULTS[what], cluster, alias)
        run = during_fault(
            cluster.http_port, alias, fault, during_seconds=DURING_IN_CLUSTER_SECONDS, token=cluster.token
        )
        yield from _results(f"{alias} {what}", alias, run)
        restarts = 0 if cluster.restarts("service") == before else 1
        yield at_most(f"{alias} {what}: pods of the service that restarted", restarts, "or more", 0)


def during_fault(
    port: int,
    alias: str,
    fault: Callable[[], AbstractContextManager[None]],
    *,
    during_seconds: float,
    token: str = TOKEN,
    pauses: Pauses = FULL_LOAD,
) -> Run:
    """Return the answers before, while and after the database fails."""
    others = {
        asked: Asking(port, asked, 1, pauses.others_seconds, token)
        for asked in ("livez", "default", "replica", "analytics", "legacy")
        if asked != alias
    }
    with ExitStack() as stack:
        failing = stack.enter_context(crowd(port, alias, CLIENTS, pause_seconds=pauses.failing_seconds, token=token))
        for asking in others.values():
            asking.start()
            stack.callback(asking.stop)
        time.sleep(BEFORE_SECONDS)
        with fault():
            failed_at = time.monotonic()
            time.sleep(during_seconds)
            repair_at = time.monotonic()
        repaired_at = time.monotonic()
        time.sleep(AFTER_SECONDS)
    return Run(failing, {asked: asking.answers for asked, asking in others.items()}, failed_at, repair_at, repaired_at)


def _results(what: str, alias: str, run: Run) -> Iterator[Result]:
    for asked, answers in run.others.items():
        yield at_most(f"{what}: {asked}", len(run.failed(asked)), f"failed of {len(answers):,}", 0)
        yield at_most(f"{what}: {asked} slower by", round(run.slower_seconds(asked), 3), "s", SLOWER_BAR_SECONDS)
    refusals = run.refusals()
    if alias != "replica":  # its reads go to the owner
        others = sum(each.status != 503 for each in refusals)
        yield at_most(f"{what}: requests of its clients", others, f"not refused of {len(refusals):,}", 0)
        slowest = percentile_99(run.waits(run.failing))
        yield at_most(f"{what}: slowest of 99 % of its refusals", round(slowest, 3), "s", REFUSAL_BAR_SECONDS)
    yield at_most(f"{what}: last refusal after the repair", round(run.back_seconds(), 3), "s", BACK_BAR_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
