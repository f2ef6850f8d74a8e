"""A round of questions to the other pods, which are small HTTP servers here."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from tests.support.waiting import until

from switchyard.console.pods.peer import DEADLINE_SECONDS, Address
from switchyard.console.pods.round import Peers, Round
from switchyard.console.pods.tokens import tokens

SLACK_SECONDS = 1.0  # of a machine with other work
EMPTY = {"columns": [], "samples": [], "newest": [], "statements": [], "violations": []}
OTHERS = {"pools": {}, "reasons": {}, "problems": {}}

type Serve = Callable[..., str]


class Exporter(ThreadingHTTPServer):
    """Answers with the record of a pod, and remembers how it was asked."""

    daemon_threads = True

    def __init__(self, answer: Any, token: str | None, delay_seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.token, self.delay_seconds = answer, token, delay_seconds
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    """A request to an exporter."""

    server: Exporter

    def do_GET(self) -> None:
        """Answer byte by byte, as slowly as the exporter is to."""
        self.server.asked.append(self.path)
        sent = self.headers["Authorization"].removeprefix("Bearer ")
        self.send_response(200 if self.server.token in {None, sent} else 401)
        self.end_headers()
        body = self.server.answer if isinstance(self.server.answer, bytes) else json.dumps(self.server.answer).encode()
        for byte in body:
            self.wfile.write(bytes([byte]))
            time.sleep(self.server.delay_seconds)

    def log_message(self, *_args: Any) -> None:
        """Print nothing."""


@contextmanager
def exporter(answer: Any, *, token: str | None = None, delay_seconds: float = 0.0) -> Iterator[Exporter]:
    """Serve the answer in this block."""
    with Exporter(answer, token, delay_seconds) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def peers(*addresses: str) -> Iterator[Peers]:
    """Name the peers in this block."""
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "CONSOLE_PEERS": addresses}):
        yield Peers()


def address(server: Exporter) -> str:
    """Return the name and the port of an exporter."""
    return f"127.0.0.1:{server.server_port}"


def pods_of(found: Round) -> list[str]:
    """Return the pods that answered."""
    return sorted(record.pod for record in found.records)


def test_ask__without_peers() -> None:
    """A pod that is alone asks nobody."""
    with peers() as alone:
        assert alone.ask("own") == Round()


def test_ask__others() -> None:
    """The others answer; the record of this pod itself is left out, and names it."""
    with ExitStack() as stack:
        servers = [stack.enter_context(exporter({"pod": pod, **EMPTY, **OTHERS})) for pod in ("own", "b", "c")]
        found = stack.enter_context(peers(*map(address, servers))).ask("own")

    assert (pods_of(found), found.missing, found.unresolved) == (["b", "c"], [], [])
    assert len({found.own_label, *(record.label for record in found.records)}) == 3


@pytest.mark.parametrize(
    "answer", [b"", b"# HELP metrics", b"[]", b"null", b"{}", b'{"pod": 1}', b'{"error": "The token is wrong."}']
)
def test_ask__wrong_answer(answer: bytes) -> None:
    """Who answers with anything but a record is missing."""
    with exporter(answer) as server, peers(address(server)) as others:
        found = others.ask("own")

    assert (found.records, len(found.missing)) == ([], 1)


def test_ask__silent_and_slow_pods() -> None:
    """A pod that never answers, and one that sends byte by byte, are missing at the deadline; others are there."""
    with (
        exporter({"pod": "b", **EMPTY, **OTHERS}) as quick,
        exporter({"pod": "c", **EMPTY, **OTHERS}, delay_seconds=0.1) as slow,
        socket.create_server(("127.0.0.1", 0)) as silent,
        peers(address(quick), address(slow), f"127.0.0.1:{silent.getsockname()[1]}") as others,
    ):
        begun_at = time.monotonic()
        found = others.ask("own")
        took = time.monotonic() - begun_at

    assert (pods_of(found), len(found.missing)) == (["b"], 2)
    assert took < DEADLINE_SECONDS + SLACK_SECONDS


def test_ask__a_pod_that_failed_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next rounds do not wait for a silent pod."""
    monkeypatch.setattr("switchyard.console.pods.round.CACHE_SECONDS", -1.0)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        peers(f"127.0.0.1:{silent.getsockname()[1]}") as others,
    ):
        others.ask("own")
        begun_at = time.monotonic()
        found = others.ask("own")
        took = time.monotonic() - begun_at

    assert len(found.missing) == 1
    assert took < DEADLINE_SECONDS


def test_ask__ten_pages() -> None:
    """Ten pages at the same time make one round."""
    with exporter({"pod": "b", **EMPTY, **OTHERS}) as server, peers(address(server)) as others:
        pages = [threading.Thread(target=others.ask, args=("own",)) for _ in range(10)]
        for page in pages:
            page.start()
        for page in pages:
            page.join()

        assert len(server.asked) == 1


def test_ask__worker_that_ends() -> None:
    """A pod that runs a worker is told from others, also once it does not answer any more."""
    other = {"pod": "b", **EMPTY, **OTHERS}
    with ExitStack() as stack:
        web = stack.enter_context(exporter(other))
        with exporter(other | {"pod": "c", "runs_worker": True}) as worker:
            found = stack.enter_context(peers(address(web), address(worker)))
            before = found.ask("own")
        worker.server_close()
        until(lambda: found.ask("own").missing != [], "the worker is missing")
        after = found.ask("own")

    assert before.workers == {record.label for record in before.records if record.pod == "c"}
    assert (after.workers, list(after.workers)) == (before.workers, after.missing)


def test_ask__worker_at_a_new_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod that has never answered is a worker if another pod of its name was one."""
    monkeypatch.setattr("switchyard.console.pods.round.CACHE_SECONDS", -1.0)
    with (
        exporter({"pod": "b", **EMPTY, **OTHERS, "runs_worker": True}) as worker,
        socket.create_server(("127.0.0.1", 0)) as silent,
        peers("worker.invalid:1") as others,
    ):
        first, second = worker.server_port, silent.getsockname()[1]
        port = first
        monkeypatch.setattr("switchyard.console.pods.round._addresses", lambda _name: [Address("127.0.0.1", port)])
        others.ask("own")
        port = second
        found = others.ask("own")

    assert len(found.missing) == 1
    assert found.workers == set(found.missing)


def test_ask__new_samples_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second question asks for what came after the first, and the samples are put together."""
    monkeypatch.setattr("switchyard.console.pods.round.CACHE_SECONDS", -1.0)
    answer = {"pod": "b", **EMPTY, **OTHERS, "columns": [["queries", "default", "read"]]}
    with exporter(answer | {"samples": [[100.5, 1.0]], "newest": [101.0, 2.0]}) as server:
        with peers(address(server)) as others:
            others.ask("own")
            server.answer = answer | {"samples": [[105.5, 3.0]], "newest": [106.0, 4.0]}
            (record,) = others.ask("own").records

        assert [path.partition("after=")[2] for path in server.asked] == ["0.0", "100.5"]
    assert [(sample.at, list(sample.values)) for sample in record.recording.samples] == [(100.5, [1.0]), (105.5, [3.0])]


def test_ask__another_pod_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new pod at the address of an old one is asked for everything."""
    monkeypatch.setattr("switchyard.console.pods.round.CACHE_SECONDS", -1.0)
    answer = {**EMPTY, **OTHERS, "columns": [["queries", "default", "read"]], "newest": [106.0, 4.0]}
    with exporter(answer | {"pod": "b", "samples": [[100.5, 1.0]]}) as server, peers(address(server)) as others:
        others.ask("own")
        server.answer = answer | {"pod": "c", "samples": [[105.5, 3.0]]}
        (record,) = others.ask("own").records

        assert [path.partition("after=")[2] for path in server.asked] == ["0.0", "100.5", "0.0"]
    assert (record.pod, [sample.at for sample in record.recording.samples]) == ("c", [105.5])


def test_ask__while_the_key_is_replaced() -> None:
    """A pod that has only the older key is asked with the token of that key."""
    with override_settings(SECRET_KEY_FALLBACKS=["an older key"]):
        _new, old = tokens()
        with exporter({"pod": "b", **EMPTY, **OTHERS}, token=old) as server, peers(address(server)) as others:
            assert pods_of(others.ask("own")) == ["b"]


def test_ask__unknown_name() -> None:
    """A name that DNS does not know is told."""
    with peers("name.invalid:1") as others:
        found = others.ask("own")

    assert (found.records, found.missing, found.unresolved) == ([], [], ["name.invalid:1"])
