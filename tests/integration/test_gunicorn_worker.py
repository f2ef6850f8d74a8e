"""The worker class of the service under a real gunicorn, at the level of sockets."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from tests.support.echo import PIECE
from tests.support.gunicorn import Gunicorn, environment, serving

GET = b"GET /one HTTP/1.1\r\nHost: x\r\n\r\n"


def one_worker(
    environ: dict[str, str], *options: str, max_files: int | None = None
) -> AbstractContextManager[Gunicorn]:
    """Serve the application of these tests by one worker with two threads."""
    options = ("--workers", "1", "--threads", "2", *options)
    return serving(environ, *options, application="tests.support.echo", max_files=max_files)


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the service."""
    return environment(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def service(environ: dict[str, str]) -> Iterator[Gunicorn]:
    """One worker with two threads."""
    with one_worker(environ) as service:
        yield service


def answer(client: socket.socket, method: str = "GET") -> tuple[int, bytes, HTTPResponse]:
    """Read one response from the socket; return its status, its body and the rest."""
    response = HTTPResponse(client, method=method)
    response.begin()
    return response.status, response.read(), response


def answers(service: Gunicorn, sent: bytes) -> list[int]:
    """Send the bytes and return the statuses of all responses until the service closes the connection."""
    with service.connect() as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: client.recv(65536), b""))
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def is_closed(client: socket.socket) -> bool:
    """Tell whether the service has closed the connection."""
    client.setblocking(False)
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_keep_alive__many_requests(service: Gunicorn) -> None:
    """A connection serves one request after the other."""
    with service.connect() as client:
        for number in range(20):
            client.sendall(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
            status, body, _ = answer(client)
            assert (status, json.loads(body)["path"]) == (200, f"/{number}")


def test_pipelining__with_bodies(service: Gunicorn) -> None:
    """Requests that arrive at once are answered one after the other, each with its own body."""
    sent = (
        b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        b"POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
        b"GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    with service.connect() as client, client.makefile("rb") as file:
        client.sendall(sent)
        received = file.read().decode()

    bodies = [json.loads(part.split("\r\n\r\n")[1]) for part in received.split("HTTP/1.1 200 OK")[1:]]
    assert [(body["path"], body["body"], body["length"]) for body in bodies] == [
        ("/1", "abc", "3"),
        ("/2", "de", "2"),
        ("/3", "", None),
    ]


def test_pipelining__behind_a_wrong_request(service: Gunicorn) -> None:
    """After a request whose end is unknown the connection ends: nothing behind it is taken for a request."""
    wrong = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert answers(service, GET + wrong + GET) == [200, 400]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\n\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000, 431),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: new\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nExpect: magic\r\n\r\n", 417),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnothing\r\n", 400),
    ],
)
def test_refusal__of_a_wrong_request(service: Gunicorn, sent: bytes, status: int) -> None:
    """A wrong request is answered by its own status, and the connection ends."""
    with service.connect() as client:
        client.sendall(sent)
        assert answer(client)[0] == status
        assert client.recv(1) == b""


def test_head__has_no_body(service: Gunicorn) -> None:
    """The response to HEAD has a length and no body, and the connection goes on."""
    with service.connect() as client:
        client.sendall(b"HEAD /big HTTP/1.1\r\nHost: x\r\n\r\n")
        status, body, response = answer(client, "HEAD")
        client.sendall(GET)

        assert (status, body, response.headers["Content-Length"]) == (200, b"", str(64 * len(PIECE)))
        assert answer(client)[0] == 200


def test_http_1_0__ends(service: Gunicorn) -> None:
    """A client of HTTP/1.0 gets its response, and the end of the connection."""
    with service.connect() as client, client.makefile("rb") as file:
        client.sendall(b"GET /old HTTP/1.0\r\n\r\n")
        received = file.read()

    assert received.startswith(b"HTTP/1.0 200 OK")
    assert json.loads(received.split(b"\r\n\r\n")[1])["path"] == "/old"


def test_expect__continue(service: Gunicorn) -> None:
    """A client that waits for it gets `100 Continue` before it sends its body, and once only."""
    with service.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        interim = client.recv(1000)
        client.sendall(b"ok")
        status, body, _ = answer(client)

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (status, json.loads(body)["body"]) == (200, "ok")


def test_expect__of_a_body_that_is_too_big(service: Gunicorn) -> None:
    """A client that waits gets the refusal at once, without `100 Continue`."""
    with service.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")

        assert answer(client)[0] == 500  # the application of these tests reads the body; Django would answer 4xx


def test_stream__to_a_reader(service: Gunicorn) -> None:
    """A streamed response arrives whole, in chunks."""
    with service.connect() as client:
        client.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")

        assert answer(client)[1] == PIECE * 256


def test_stream__that_breaks(service: Gunicorn) -> None:
    """A response that fails after its begin ends without the last chunk, so that the client notices."""
    with service.connect() as client, client.makefile("rb") as file:
        client.sendall(b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n")
        received = file.read()

    assert received.endswith(b"5\r\nbegun\r\n")


def test_reader__that_begins_late(service: Gunicorn) -> None:
    """A big response to a client that begins to read late holds no thread, and arrives whole."""
    with ThreadPoolExecutor(1) as pool, service.connect() as client, service.connected(4) as late:
        for each in late:
            each.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        client.sendall(GET)
        status = pool.submit(answer, client).result(timeout=5)[0]
        bodies = [answer(each)[1] for each in late]

    assert status == 200
    assert bodies == [PIECE * 64] * 4


def test_probes__while_all_threads_are_busy(service: Gunicorn) -> None:
    """/livez and /readyz have threads of their own, and are answered before requests that came earlier."""
    with service.connected(6) as clients:
        for client in clients:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.5)
        start = time.monotonic()
        statuses = [answers(service, b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path) for path in (b"/livez", b"/readyz")]
        seconds = time.monotonic() - start
        assert [answer(client)[0] for client in clients] == [200] * 6

    assert statuses == [[200], [200]]
    assert seconds < 1


def test_client__that_goes_away(service: Gunicorn) -> None:
    """Clients that go away within a request, while it runs or within the response leave nothing behind."""
    (worker,) = service.workers()
    descriptors = Path(f"/proc/{worker}/fd")
    before = len(list(descriptors.iterdir()))
    for sent in (
        b"GET /",
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n1",
        GET,
        GET + GET,
        GET.replace(b"one", b"big"),
    ):
        for _ in range(10):
            with service.connect() as client:
                client.sendall(sent)
    deadline = time.monotonic() + 20
    while len(list(descriptors.iterdir())) > before and time.monotonic() < deadline:
        time.sleep(0.1)

    assert len(list(descriptors.iterdir())) <= before
    assert service.workers() == {worker}
    assert answers(service, GET) == [200]


def test_never_closing__does_not_stop_the_main_loop(environ: dict[str, str]) -> None:
    """Clients that leave their side open after `Connection: close` do not delay others, nor the worker's heartbeat."""
    with one_worker(environ, "--timeout", "3") as service, service.connected(20) as clients:
        workers = service.workers()
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        durations = []
        for _ in range(10):
            start = time.monotonic()
            assert answers(service, GET) == [200]
            durations.append(time.monotonic() - start)
            time.sleep(0.5)

        assert max(durations) < 2
        assert service.workers() == workers


def test_connections__more_than_the_limit(environ: dict[str, str]) -> None:
    """At the limit of connections the one that waits longest is closed, and new clients are served."""
    with one_worker(environ, "--worker-connections", "20") as service, service.connected(10) as first:
        for client in first:
            client.sendall(b"GET / HTTP/1.1\r\n")
        with service.connected(50) as later:
            assert answers(service, GET) == [200]
            closed = [is_closed(client) for client in later]

        assert all(is_closed(client) for client in first)
        assert closed == sorted(closed, reverse=True)
        assert 18 <= closed.count(False) <= 20


def test_connections__more_than_files(environ: dict[str, str]) -> None:
    """Where a process may open no more files, the connection that waits longest is closed."""
    with one_worker(environ, max_files=60) as service, service.connected(100):
        workers = service.workers()
        for _ in range(5):
            assert answers(service, GET) == [200]

        assert service.workers() == workers


def test_bodies__more_than_fit_into_memory(environ: dict[str, str]) -> None:
    """A worker keeps 32 MiB of unfinished bodies at most, and closes the oldest connections for it."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 524288\r\n\r\n"
    with one_worker(environ) as service, service.connected(100) as clients:
        for client in clients:
            client.sendall(head + b"a" * 500_000)
        deadline = time.monotonic() + 8  # earlier than the first client's own deadline
        while (still_open := [is_closed(client) for client in clients].count(False)) > 67:
            assert time.monotonic() < deadline
            time.sleep(0.1)

        assert still_open >= 60
        assert service.peak_kib() < 150_000
        assert answers(service, GET) == [200]


def test_stop__with_requests_in_flight(environ: dict[str, str]) -> None:
    """SIGTERM lets a running request end, and closes idle and silent connections within seconds."""
    with one_worker(environ) as service, service.connected(3) as clients:
        _silent, idle, busy = clients
        idle.sendall(GET)
        assert answer(idle)[0] == 200
        busy.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.5)
        start = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        status, body, _ = answer(busy)
        code = service.process.wait(timeout=20)

    assert (status, json.loads(body)["path"]) == (200, "/slow")
    assert code == 0
    assert time.monotonic() - start < 15


def test_max_requests__replaces_the_worker(environ: dict[str, str]) -> None:
    """A worker that made its number of requests ends, and no request is lost."""
    with one_worker(environ, "--max-requests", "10") as service:
        first = service.workers()
        statuses = []
        for _ in range(40):
            connection = HTTPConnection("127.0.0.1", service.port, timeout=20)
            connection.request("GET", "/")
            statuses.append(connection.getresponse().status)
            connection.close()

        assert statuses == [200] * 40
        assert service.workers() != first


def test_heartbeat__of_a_worker_that_hangs(environ: dict[str, str]) -> None:
    """The master replaces a worker whose main loop does not run."""
    with one_worker(environ, "--timeout", "2") as service:
        (worker,) = service.workers()
        os.kill(worker, signal.SIGSTOP)
        deadline = time.monotonic() + 30
        while worker in service.workers() and time.monotonic() < deadline:
            time.sleep(0.1)

        assert worker not in service.workers()
        assert answers(service, GET) == [200]
