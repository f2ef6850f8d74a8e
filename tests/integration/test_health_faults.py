"""Each database of the real service fails in each way: /livez, /readyz and /healthz answer in time, and are right.

The times are those of clients, of a service under gunicorn: the issue is what a kubelet sees. They cannot be flaky for
a reason of the machine alone: while the monitor watches a server no answer waits for it, so the bound of two seconds is
hundreds of times what an answer takes. `test_readiness.py` has the aliases that no monitor watches.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPConnection
from statistics import median
from typing import Any

import pytest
from tests.bench.crowd import Answered, Asking, crowd
from tests.bench.pair import direct
from tests.integration.conftest import environment
from tests.support.exporter import Exporter, Scrape, exporting
from tests.support.faults import black_holed, hanging, refusing, silent
from tests.support.full_servers import out_of_connections
from tests.support.gunicorn import TOKEN, Gunicorn, serving
from tests.support.servers import Servers
from tests.support.waiting import until

from switchyard.health.alias_probe import PROBE_TIMEOUT_SECONDS
from switchyard.routing.monitor.probes.probe import PROBE_INTERVAL_SECONDS

pytestmark = pytest.mark.docker

ALIASES = ("default", "replica", "analytics", "legacy")
ANSWER_SECONDS = PROBE_TIMEOUT_SECONDS * 1.5  # an answer that waits for a database takes as long as the fault
AT_ONCE_SECONDS = PROBE_TIMEOUT_SECONDS / 2  # an answer that waits for a database takes twice as long
KNOWN_SECONDS = 10.0  # until both workers know a fault; the circuit opens after 1.1 s, and a verdict is kept for 1.5 s
# A server takes new connections while others fill it, so an answer of that time may follow the first failed ones.
SETTLES_SECONDS = {"out of connections": 2.6}
ATTEMPTS = 50  # to reach each of two workers
ASKED = 10  # answers of each path, from the verdict on
# The server keeps the comment of the first statement of this form, or none, for all of them.
PROBES = "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query ~ '^SELECT \\$1( /\\*|$)'"

FAULTS: Mapping[str, Callable[[Servers, str], AbstractContextManager[None]]] = {
    "refusing": refusing,
    "black-holed": black_holed,
    "accepting and silent": silent,
    "hung in a query": hanging,  # and its connections stay open
    "out of connections": out_of_connections,
}


@dataclass(frozen=True)
class Service:
    """The service with two workers on the addresses of the servers' containers, and its exporter."""

    gunicorn: Gunicorn
    exporter: Exporter

    def health(self, path: str) -> tuple[int, Any]:
        """Return the status and the body of a path of health, over a new connection, which any worker may answer."""
        with self._connected() as connection:
            return answered(connection, path)

    def says(self, status: int, **states: str) -> bool:
        """Return True if /readyz of every worker has this status and these states of the aliases."""
        asked: set[int | None] = set()
        with ExitStack() as stack:
            for _ in range(ATTEMPTS):  # the system chooses the worker that accepts a connection
                connection = stack.enter_context(self._connected())
                connection.connect()
                code, body = answered(connection, "/readyz")
                if code != status or body["aliases"] != states:
                    return False
                asked.add(self.gunicorn.worker_of(connection.sock))
                if asked >= self.gunicorn.workers():
                    return True
        return False

    def _connected(self) -> AbstractContextManager[HTTPConnection]:
        return closing(HTTPConnection("127.0.0.1", self.gunicorn.port, timeout=30))

    def asking(self, path: str, clients: int = 1, pause_seconds: float = 0.05) -> Asking:
        """Return clients of a path, which a caller starts and stops."""
        return Asking(self.gunicorn.port, path, clients, pause_seconds, TOKEN)


@pytest.fixture(scope="module")
def service(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, ready."""
    directory = tmp_path_factory.mktemp("service")
    environ = environment(**direct(servers), METRICS_DIR=str(directory / "metrics"), DATA_DIR=str(directory))
    environ |= {"SERVED_OVER_HTTPS": "false", "WEB_THREADS": "8", "WEB_CONCURRENCY": "2"}
    with serving(environ, log=directory / "log") as gunicorn, exporting(directory / "metrics") as exporter:
        made = Service(gunicorn, exporter)
        until(lambda: made.says(200, **states()), "the service is ready")
        yield made


def answered(connection: HTTPConnection, path: str) -> tuple[int, Any]:
    """Return the status and the body of a path of health."""
    connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def states(**others: str) -> dict[str, str]:
    """Return the states of all aliases: `up`, except those given."""
    return dict.fromkeys(ALIASES, "up") | others


def addresses(servers: Servers) -> list[str]:
    """Return the addresses of the servers, which no answer may tell."""
    return [url.split("@")[1].split(":")[0].split("/")[0] for name, url in direct(servers).items() if "URL" in name]


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("fault", FAULTS)
def test_health__of_each_fault(servers: Servers, service: Service, alias: str, fault: str) -> None:
    """The alias is down and all others are up; no answer takes longer than its deadline, and /livez none at all."""
    asking = {path: service.asking(path) for path in ("livez", "readyz", "healthz")}
    with ExitStack() as stack:
        for each in (*asking.values(), service.asking(alias, clients=4)):
            each.start()
            stack.callback(each.stop)
        stack.enter_context(FAULTS[fault](servers, alias))
        began_at = time.monotonic()
        expected = states(**{alias: "down"})
        time.sleep(SETTLES_SECONDS.get(fault, 0.0))
        until(lambda: service.says(200, **expected), f"/readyz shows '{alias}' down", seconds=KNOWN_SECONDS)
        known_at = time.monotonic()
        until(
            lambda: all(sum(one.began_at > known_at for one in each.answers) >= ASKED for each in asking.values()),
            "each path has answered",
        )
        ready, (status, health) = service.health("/readyz"), service.health("/healthz")
        ended_at = time.monotonic()
    answers = {path: within(each.answers, began_at, ended_at) for path, each in asking.items()}
    until(lambda: service.says(200, **states()), f"'{alias}' is up again")
    servers.caught_up()

    slowest = {path: max(one.seconds for one in each) for path, each in answers.items()}
    print(f"{alias} {fault}: known after {known_at - began_at:.2f} s, slowest {slowest}")
    assert ready == (200, {"status": "degraded", "aliases": expected})
    assert (status, {name: each["state"] for name, each in health["aliases"].items()}) == (200, expected)
    assert {one.status for each in answers.values() for one in each} == {200}
    assert slowest["readyz"] < ANSWER_SECONDS
    assert slowest["healthz"] < ANSWER_SECONDS
    assert median(one.seconds for one in answers["livez"]) < AT_ONCE_SECONDS
    assert [address for address in addresses(servers) if address in json.dumps(health)] == []


def within(answers: list[Answered], began_at: float, ended_at: float) -> list[Answered]:
    """Return the answers to requests that began in this time."""
    return [answer for answer in answers if began_at <= answer.began_at < ended_at]


def test_health__while_every_database_hangs(servers: Servers, service: Service) -> None:
    """/readyz says 503 in time, /livez 200 at once, and the exporter answers at once with the age of its answers."""
    asking = {path: service.asking(path) for path in ("livez", "readyz")}
    with ExitStack() as stack:
        for each in (*asking.values(), *(service.asking(alias, clients=8) for alias in ALIASES)):
            each.start()
            stack.callback(each.stop)
        for alias in ALIASES:
            stack.enter_context(hanging(servers, alias))
        began_at = time.monotonic()
        until(lambda: service.says(503, **dict.fromkeys(ALIASES, "down")), "all are down", seconds=KNOWN_SECONDS)
        known_at = time.monotonic()
        until(lambda: sum(one.began_at > known_at for one in asking["livez"].answers) >= ASKED, "/livez has answered")
        scrapes = [service.exporter.scrape() for _ in range(ASKED)]
        ended_at = time.monotonic()
        silent_seconds = time.monotonic() - began_at
    answers = {path: within(each.answers, began_at, ended_at) for path, each in asking.items()}
    until(lambda: service.says(200, **states()), "all are up again")
    servers.caught_up()

    print(f"scrapes took {sorted(round(scrape.seconds, 3) for scrape in scrapes)}, ages {ages(scrapes[-1])}")
    assert max(one.seconds for one in answers["readyz"]) < ANSWER_SECONDS
    assert {one.status for one in answers["livez"]} == {200}
    assert median(one.seconds for one in answers["livez"]) < AT_ONCE_SECONDS
    assert median(scrape.seconds for scrape in scrapes) < AT_ONCE_SECONDS
    assert set(ages(scrapes[-1])) == set(ALIASES)
    assert min(ages(scrapes[-1]).values()) > silent_seconds - 0.5


def test_readyz__asked_by_500_clients(servers: Servers, service: Service) -> None:
    """500 clients at once get their answers, and the server gets no probe beside those of the one monitor."""
    before, began_at = servers.ask("analytics", PROBES)[0][0], time.monotonic()
    with crowd(service.gunicorn.port, "readyz", 500, pause_seconds=60) as answers:
        pass
    after, seconds = servers.ask("analytics", PROBES)[0][0], time.monotonic() - began_at

    print(f"{after - before} probes in {seconds:.2f} s")
    assert [each.status for each in answers] == [200] * 500
    assert 0 < after - before <= seconds / PROBE_INTERVAL_SECONDS + 2


def test_exporter__while_every_worker_stands_still(service: Service) -> None:
    """The exporter answers at once, though no process renews what it knows, and says how old it is."""
    workers = service.gunicorn.workers()
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    stopped_at = time.monotonic()
    try:
        until(lambda: min(ages(service.exporter.scrape()).values()) > 1.0, "the answers grow old")
        scrapes = [service.exporter.scrape() for _ in range(ASKED)]
        stopped_seconds = time.monotonic() - stopped_at
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
    until(lambda: max(ages(service.exporter.scrape()).values()) < 1.0, "the servers are asked again")

    assert set(ages(scrapes[-1])) == set(ALIASES)
    assert median(scrape.seconds for scrape in scrapes) < AT_ONCE_SECONDS
    assert min(ages(scrapes[-1]).values()) > stopped_seconds - 0.5


def ages(scrape: Scrape) -> dict[str, float]:
    """Return the age of the last answer of each server."""
    return scrape.by_alias("switchyard_server_answer_age_seconds")
