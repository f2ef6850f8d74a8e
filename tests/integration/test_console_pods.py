"""The console over several pods: real services with real exporters, on SQLite files."""

import json
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.integration.conftest import manage
from tests.support.console_page import CHROMIUM, chromium, opened, sign_in
from tests.support.gunicorn import database_environ
from tests.support.pods import Pod, of_alias, pods
from tests.support.waiting import until

from switchyard.console.pods.peer import DEADLINE_SECONDS
from switchyard.console.pods.round import CACHE_SECONDS

BUSY_SECONDS = 1.5  # that an answer may take beside its deadline on a machine with other work


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a service on migrated SQLite files with an administrator."""
    found = database_environ(tmp_path_factory.mktemp("data"), users=20)
    made = manage(
        *("createsuperuser", "--username", "admin", "--email", "admin@example.com", "--noinput"),
        **{**found, "DJANGO_SUPERUSER_PASSWORD": "dev"},
    )
    assert made.returncode == 0, made.stderr
    return found


@pytest.fixture(scope="module")
def running(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Pod]]:
    """Three running pods that know each other."""
    with pods(environ, tmp_path_factory.mktemp("pods"), 3) as found:
        yield found


@pytest.fixture
def three(running: list[Pod]) -> list[Pod]:
    """Three running pods, each of which has an answer of the others."""
    steadily(lambda: all(answering(pod) == [True] * 3 for pod in running), "all pods answer")
    return running


def steadily(true: Callable[[], bool], what: str, *, seconds: float = 30) -> None:
    """Wait until `true()` is true eight times in turn: a pod has two workers, and each of them may answer."""
    until(lambda: all(true() for _ in range(8)), what, seconds=seconds)


def answering(pod: Pod) -> list[bool]:
    """Return for each pod, the asked one first, whether the console has its numbers."""
    return [each["answers"] for each in pod.data()["pods"]]


def reads(data: dict[str, Any]) -> int:
    """Return the reads of customers since the counters began, an app that nothing else reads."""
    count: int = of_alias(data, "legacy")["queries"]["read"]
    return count


def test_pods__sum(three: list[Pod]) -> None:
    """The console of each pod shows the sum of all pods, exactly."""
    before = reads(three[0].data())
    for number, pod in enumerate(three, start=1):
        for _ in range(number):
            assert pod.ask("/api/legacy/customers?limit=1")[0] == HTTPStatus.OK

    for pod in three:
        until(lambda pod=pod: reads(pod.data()) - before == 1 + 2 + 3, "the sum has all reads", seconds=10)


def test_pods__rates(three: list[Pod]) -> None:
    """The rates and the latency on the console of an idle pod are those of the pods that work."""
    first, _second, third = three

    def working() -> bool:
        for _ in range(5):
            first.ask("/api/legacy/customers?limit=1")
        legacy = of_alias(third.data(), "legacy")
        newest = [rate for rate in legacy["queries_per_second"]["read"] if rate is not None][-2:]
        return legacy["latency_seconds"] is not None and any(rate > 0.5 for rate in newest)

    until(working, "an idle pod shows the rates of another", seconds=30)


def test_pods__failing_statement(three: list[Pod]) -> None:
    """A statement that fails in two pods is on the console of the third one, once, with the labels of both."""
    first, second, third = three
    taken = json.dumps({"username": "ada", "email": "ada@example.com"})
    statuses = [pod.ask("/api/users", taken)[0] for pod in (first, first, second)]

    labels = [each["pod"] for each in first.data()["pods"]]

    def found() -> list[tuple[int, list[str]]]:
        statements = third.data()["statements"]
        return [(each["calls"], each["pods"]) for each in statements if "IntegrityError" in each["errors"]]

    both = sorted({labels[0], second.data()["pods"][0]["pod"]})
    until(lambda: found() == [(2, both)], "both failures are one line", seconds=10)

    assert statuses == [HTTPStatus.CREATED, HTTPStatus.CONFLICT, HTTPStatus.CONFLICT]
    assert len(set(labels)) == 3


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSTOP])
def test_pods__missing(three: list[Pod], ending: signal.Signals) -> None:
    """A pod whose exporter is killed, or stands still, is named missing in the next round, and delays no answer."""
    first, second, _third = three
    second.exporter.send_signal(ending)
    ended_at, durations = time.monotonic(), [0.0]

    def named() -> bool:
        found, seconds = first.timed_data()
        durations.append(seconds)
        return [each["answers"] for each in found["pods"]] == [True, True, False]

    steadily(named, "the pod is missing")
    took = time.monotonic() - ended_at
    print(f"named in {len(durations) - 1} answers after {took:.2f} s; the slowest took {max(durations):.2f} s")

    assert took < CACHE_SECONDS + 2 * DEADLINE_SECONDS + BUSY_SECONDS  # each worker has a round of its own
    assert max(durations) < DEADLINE_SECONDS + BUSY_SECONDS
    if ending is signal.SIGSTOP:
        second.exporter.send_signal(signal.SIGCONT)
    else:
        second.exporter.wait()
        second.start_exporter()
    steadily(lambda: answering(first) == [True] * 3, "the pod is back")


def test_pods__nothing_that_names_a_host(three: list[Pod]) -> None:
    """The data name pods by labels, and hold no port, address or name of a machine."""
    text = json.dumps(three[0].data())

    hosts = ("localhost", "127.0.0.1", "::1", socket.gethostname(), *(str(pod.exporter_port) for pod in three))

    assert [host for host in hosts if host in text] == []


@pytest.mark.parametrize("token", ["", "wrong"])
def test_pods__without_token(three: list[Pod], token: str) -> None:
    """A client without a token of the pods gets 401 and no record from the exporter."""
    address = f"http://127.0.0.1:{three[0].exporter_port}/pod"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"}))

    assert refused.value.code == HTTPStatus.UNAUTHORIZED
    assert set(json.load(refused.value)) == {"error"}


@pytest.mark.skipif(not CHROMIUM, reason="the console's page: no Chromium is installed")
def test_pods__page(three: list[Pod]) -> None:
    """The page says how many pods it shows, and names the one that does not answer."""
    first, _second, third = three
    with chromium() as browser, opened(browser, first.service.port) as page:
        sign_in(page)
        expect(page.locator("#as_of")).to_contain_text("3 pods", timeout=10_000)
        third.exporter.kill()
        third.exporter.wait()

        expect(page.locator("#as_of")).to_contain_text("2 of 3 pods", timeout=5_000)
        problems = page.get_by_role("list", name="Problems now")
        expect(problems.get_by_role("listitem")).to_contain_text("does not answer")
        third.start_exporter()
        expect(page.locator("#as_of")).to_contain_text("UTC, 3 pods", timeout=20_000)
