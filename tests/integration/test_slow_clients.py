"""The service beside silent, slow and idle clients, under gunicorn with its own settings, on embedded databases."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from statistics import median

import pytest
from tests.support.gunicorn import ROOT, TOKEN, Gunicorn, database_environ, serving
from tests.support.slow_clients import BIG_FILE, KINDS, SMALL_WINDOW

HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "Connection": "close"}
CLIENTS = 40  # of each kind: more than twice the threads
POST = f"POST /api/users HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n".encode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """The service with its own number of workers and threads."""
    with serving(database_environ(tmp_path_factory.mktemp("data"), users=500)) as service:
        yield service


def ask(service: Gunicorn, path: str) -> tuple[int, float]:
    """Return the status of a request over a connection of its own, and its duration in seconds."""
    start = time.monotonic()
    connection = HTTPConnection("127.0.0.1", service.port, timeout=5)
    try:
        connection.request("GET", path, headers=HEADERS)
        response = connection.getresponse()
        response.read()
        return response.status, time.monotonic() - start
    finally:
        connection.close()


def durations(service: Gunicorn, path: str, number: int) -> list[float]:
    """Ask so many times; return the durations of requests that all succeeded."""
    answers = [ask(service, path) for _ in range(number)]
    assert {status for status, _ in answers} == {200}
    return [seconds for _, seconds in answers]


@contextmanager
def clients(service: Gunicorn, kind: str) -> Iterator[None]:
    """Keep clients of the kind connected in this block."""
    command = [sys.executable, "-m", "tests.support.slow_clients", str(service.port), kind, str(CLIENTS)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline()
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("kind", KINDS)
def test_clients__of_one_kind(service: Gunicorn, kind: str) -> None:
    """Clients that hold connections, more than there are threads, cost nobody else a request or a second."""
    alone = {path: durations(service, path, 30) for path in ("/livez", "/api/users")}
    with clients(service, kind):
        beside = {path: durations(service, path, 60) for path in alone}

    for path, without in alone.items():
        assert median(beside[path]) < median(without) + 1


# what a client sends, and the status of the answer after ten seconds, or None where the connection just ends
SLOW = {
    "nothing": (b"", None),
    "half a header": (b"GET / HTTP/1.1\r\nHost:", 408),
    "a body that does not go on": (POST + b"Content-Length: 100\r\n\r\n{", 408),
    "chunks that do not go on": (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", 408),
}


def test_deadlines__of_silence(service: Gunicorn) -> None:
    """A client that sends no complete request is told so and disconnected after ten seconds, not earlier."""
    start, ended = time.monotonic(), {}
    with ExitStack() as stack:
        connections = {name: stack.enter_context(service.connect(timeout=20)) for name in SLOW}
        for name, (sent, _) in SLOW.items():
            connections[name].sendall(sent)
        for name, connection in connections.items():
            received = connection.recv(1000)
            ended[name] = int(received[9:12]) if received else None
            assert 9 < time.monotonic() - start < 16

    assert ended == {name: status for name, (_, status) in SLOW.items()}


def test_deadlines__of_a_header_that_drips(service: Gunicorn) -> None:
    """A header that grows all the time has ten seconds, too."""
    start = time.monotonic()
    with service.connect(timeout=0.5) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        while time.monotonic() - start < 20:
            client.sendall(b"A: b\r\n")
            try:
                received = client.recv(1000)
                break
            except TimeoutError:
                continue

    assert received.startswith(b"HTTP/1.1 408")
    assert 9 < time.monotonic() - start < 16


def test_deadlines__of_a_body_that_is_slow_enough(service: Gunicorn) -> None:
    """A body that arrives with 500 bytes a second or more is awaited, for longer than ten seconds."""
    body = b'{"username": "%s"}' % (b"a" * 20_000)
    with service.connect(timeout=20) as client:
        client.sendall(POST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 800):
            client.sendall(body[start : start + 800])
            time.sleep(0.55)
        status = client.recv(1000)[9:12]

    assert status == b"422"  # the name is too long; the whole body was read


def test_deadlines__of_a_reader(service: Gunicorn) -> None:
    """A client that does not read its response is reset, so that it cannot take the part for all.

    It has ten seconds, and some for what its side of the connection acknowledged before.
    """
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
        client.connect(("127.0.0.1", service.port))
        client.sendall(f"GET {BIG_FILE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(30)
        client.settimeout(5)
        with pytest.raises(ConnectionResetError):
            b"".join(iter(lambda: client.recv(65536), b""))


def test_deadlines__of_a_reader_that_is_slow_enough(service: Gunicorn) -> None:
    """A client that reads 1,000 bytes a second is not cut off, for longer than ten seconds."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
        client.settimeout(10)
        client.connect(("127.0.0.1", service.port))
        client.sendall(f"GET {BIG_FILE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        for _ in range(25):
            time.sleep(1)
            assert client.recv(1000)


def test_chunks__reach_the_api(service: Gunicorn) -> None:
    """A body in chunks is read by a view like any other body."""
    connection = HTTPConnection("127.0.0.1", service.port, timeout=10)
    body = iter([b'{"username": "in', b'-chunks"}'])
    connection.request("POST", "/api/users", body, HEADERS, encode_chunked=True)
    status = connection.getresponse().status
    connection.close()

    assert status == 201
