"""The process that serves /metrics."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from tests.support.service import free_port

from switchyard.telemetry.counters import Counters
from switchyard.telemetry.layout import Axis, Family, Layout

APP = Path(__file__).parents[4] / "app"
LAYOUT = Layout(
    (
        Family("switchyard_queries_total", "Calls.", (Axis.of("alias", ("default", "replica")),)),
        Family("seconds", "Time.", (Axis.of("alias", ("default",)),), (0.5, 1.0)),
    )
)

Serve = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start exporters; they end with the test."""
    started = []

    def start(port: int, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-W", "error", "-m", "switchyard.telemetry.exporter", "--dir", str(tmp_path)]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("DJANGO_")}
        process = subprocess.Popen(
            [*command, "--port", str(port), *arguments],
            env={**inherited, "PYTHONPATH": str(APP), **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def scrape(port: int, *, host: str = "127.0.0.1", accept: str = "text/plain") -> tuple[int, str]:
    """Wait until the exporter listens; return the status and the body of /metrics."""
    request = urllib.request.Request(f"http://{host}:{port}/metrics", headers={"Accept": accept})
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return response.status, response.read().decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def samples(body: str) -> dict[str, float]:
    """Return the number of calls on each alias from a body."""
    return {
        sample.labels["alias"]: sample.value
        for family in parse_text(body)
        for sample in family.samples
        if sample.name == "switchyard_queries_total"
    }


def test_metrics__before_the_service_counts(serve: Serve) -> None:
    """An exporter that starts before the service answers 200 with its own version only."""
    port = free_port()
    serve(port)

    status, body = scrape(port)

    assert status == 200
    assert [family.name for family in parse_text(body)] == ["switchyard_build_info"]


def test_metrics__while_the_service_counts(serve: Serve, tmp_path: Path) -> None:
    """Each scrape shows the counts of its moment."""
    port = free_port()
    serve(port)
    scrape(port)
    counters = Counters(LAYOUT, str(tmp_path))

    counters.cells()[1] += 3.0
    first = samples(scrape(port)[1])
    counters.cells()[1] += 2.0
    second = samples(scrape(port)[1])

    assert first == {"default": 0.0, "replica": 3.0}
    assert second == {"default": 0.0, "replica": 5.0}


def test_metrics__as_openmetrics(serve: Serve, tmp_path: Path) -> None:
    """A scraper that asks for OpenMetrics gets a document that its own parser accepts."""
    port = free_port()
    serve(port)
    counters = Counters(LAYOUT, str(tmp_path))
    counters.cells()[LAYOUT.index_of("seconds", "default") + 1] += 4.0

    status, body = scrape(port, accept="application/openmetrics-text; version=1.0.0")

    assert status == 200
    found = {sample.name: sample.value for family in parse_openmetrics(body) for sample in family.samples}
    assert found["seconds_count"] == 4.0


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_address__by_default(serve: Serve, host: str) -> None:
    """The exporter answers on IPv4 and on IPv6, if the machine has them."""
    if host == "[::1]" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    port = free_port()
    serve(port)

    assert scrape(port, host=host)[0] == 200


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_signal__to_end(serve: Serve, ending: signal.Signals) -> None:
    """The exporter ends with exit status 0 and without output."""
    port = free_port()
    process = serve(port)
    scrape(port)

    process.send_signal(ending)
    _out, errors = process.communicate(timeout=5)

    assert process.returncode == 0
    assert errors == ""


def test_port__in_use(serve: Serve) -> None:
    """One line names the port, the cause and the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = serve(port, "--address", "127.0.0.1")
        _out, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert errors == (
        f"Cannot serve metrics on port {port} of 127.0.0.1: Address already in use."
        " Stop the process that listens there, or choose another port with --port.\n"
    )


def test_memory__of_the_process(serve: Serve, tmp_path: Path) -> None:
    """The process stays small, because it loads neither Django nor a driver."""
    Counters(LAYOUT, str(tmp_path)).open()
    port = free_port()
    process = serve(port, COVERAGE_PROCESS_CONFIG="", COVERAGE_PROCESS_START="")
    scrape(port)

    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        pytest.skip("this machine has no /proc")
    resident = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    mapped = Path(f"/proc/{process.pid}/maps").read_text()

    assert int(resident.split()[1]) < 50_000
    assert "psycopg" not in mapped
    assert "_sqlite3" not in mapped


def test_help__without_docstrings() -> None:
    """`python -OO` removes docstrings, and `--help` still says what is served."""
    command = [sys.executable, "-OO", "-m", "switchyard.telemetry.exporter", "--help"]
    said = subprocess.run(command, env={"PYTHONPATH": str(APP)}, capture_output=True, text=True, check=True).stdout

    assert "Serve the counters of a service" in said
