"""A real gunicorn worker and hostile requests: large bodies, and headers that only a proxy may send."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from threading import Event

import pytest
from django.conf import settings
from tests.integration.conftest import manage
from tests.support.gunicorn import TOKEN, Gunicorn, environment, serving

LARGEST = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
MEGABYTE = 1024 * 1024
LIMIT_KIB = 150 * 1024


def ask(service: Gunicorn, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    """Send the request, and return the status and the body of the answer."""
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection:
        connection.putrequest(method, path)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        with suppress(BrokenPipeError, ConnectionResetError):  # the server may answer before it has read the body
            connection.send(body)
        response = connection.getresponse()
        return response.status, response.read()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """A worker that all tests share: a limit that holds for the peak of many requests holds for that of one."""
    environ = environment(tmp_path_factory.mktemp("data"))
    assert manage("migrate_all", **environ).returncode == 0
    with serving(environ, "--workers", "1") as service:
        yield service


def unknown_keys(size: int) -> bytes:
    """Return an object of about `size` bytes with as many unknown keys as possible."""
    return json.dumps({f"{n:x}": 1 for n in range(size // 10)}, separators=(",", ":")).encode()


BODIES = {
    "unknown keys": unknown_keys(LARGEST - 10_000),
    "unknown keys of items": b"[" + b",".join([unknown_keys(480)] * 1000) + b"]",
    "lists": b"[" + b"[]," * (LARGEST // 3 - 2) + b"[]]",
    "objects": b"[" + b"{}," * (LARGEST // 3 - 2) + b"{}]",
    "numbers": b"[" + b"1.5," * (LARGEST // 4 - 2) + b"1.5]",
    "one text": b'{"username":"' + b"\\u00e9" * (LARGEST // 6 - 10) + b'"}',
    "64 MB of unknown keys": unknown_keys(64 * MEGABYTE),
    "64 MB of zeros": bytes(64 * MEGABYTE),
}


@pytest.mark.parametrize("path", ["/api/users", "/api/events", "/admin/login/"])
@pytest.mark.parametrize("name", BODIES)
def test_worker__after_a_large_body(service: Gunicorn, name: str, path: str) -> None:
    """One body, of any kind and up to 64 MB, leaves the worker under 150 MB, with a short answer soon."""
    body = BODIES[name]
    begun = time.monotonic()
    status, answer = ask(
        service, "POST", path, body, **{"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    )

    assert status in {400, 403, 413, 422}, answer[:200]
    assert len(answer) <= 16 * 1024
    assert time.monotonic() - begun < 10
    assert ask(service, "GET", "/livez")[0] == 200
    assert service.peak_kib() < LIMIT_KIB


def test_worker__after_an_upload_of_a_stranger(service: Gunicorn) -> None:
    """A form with a file of 64 MB is refused, and neither memory nor disk holds the file."""
    before = {path: path.stat().st_size for path in Path("/tmp").glob("*.upload*")}
    body = (
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + bytes(64 * MEGABYTE) + b"\r\n--b--"
    )
    cookie = {"Cookie": f"csrftoken={'a' * 32}", "Content-Type": "multipart/form-data; boundary=b"}

    large, _ = ask(service, "POST", "/admin/login/", body, **cookie)
    small, _ = ask(service, "POST", "/admin/login/", body[:500_000] + b"\r\n--b--", **cookie)

    assert (large, small) == (413, 400)
    assert {path: path.stat().st_size for path in Path("/tmp").glob("*.upload*")} == before
    assert service.peak_kib() < LIMIT_KIB


@pytest.mark.parametrize(
    ("name", "value"),
    [("SCRIPT_NAME", "/x"), ("PATH_INFO", "/livez"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Ssl", "on")],
)
def test_worker__headers_of_a_proxy_from_this_machine(service: Gunicorn, name: str, value: str) -> None:
    """A client on this machine, such as a port-forward, changes neither path nor scheme for gunicorn."""
    status, _ = ask(service, "GET", "/api/nowhere", **{"Authorization": f"Bearer {TOKEN}", name: value})

    assert status == 404


def test_worker__contradicting_schemes(service: Gunicorn) -> None:
    """Gunicorn does not interpret the headers about the scheme, so they cannot contradict each other."""
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "off", "X-Forwarded-Protocol": "http"}

    assert ask(service, "GET", "/livez", **headers)[0] == 200


def test_worker__while_strangers_sign_in(service: Gunicorn) -> None:
    """20 strangers who sign in again and again do not slow down `/livez`; some of their passwords are checked."""
    body = b"csrfmiddlewaretoken=" + b"a" * 32 + b"&username=admin&password=wrong"
    headers = {"Cookie": f"csrftoken={'a' * 32}", "Content-Type": "application/x-www-form-urlencoded"}
    ended = Event()

    def stranger() -> set[int]:
        statuses = set()
        while not ended.is_set():
            statuses.add(ask(service, "POST", "/admin/login/", body, **headers)[0])
        return statuses

    with ThreadPoolExecutor(20) as strangers:
        answers = [strangers.submit(stranger) for _ in range(20)]
        seconds = []
        for _ in range(30):
            begun = time.monotonic()
            assert ask(service, "GET", "/livez")[0] == 200
            seconds.append(time.monotonic() - begun)
            time.sleep(0.1)
        ended.set()

    assert set().union(*(answer.result() for answer in answers)) == {200, 429}
    assert median(seconds) < 1, sorted(seconds)[-5:]
