"""The memory of a worker after more and more requests of every kind that the service answers or refuses.

`python -m tests.bench.memory [--requests 100000]` starts the service as `make run` does, sends the requests over
keep-alive connections, and reads each worker's memory from /proc. The results are in build/bench/memory.json.
"""

import argparse
import re
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.results import SMALL, Result, at_most, finish
from tests.support.service import TOKEN as LOCAL_TOKEN
from tests.support.service import Service, embedded_environ, running

BAR = 120.0  # MB of 1,000,000 bytes for each worker
GROWTH = (
    8.0  # MB between the last two samples: the heaps of 8 threads settle, and each worker's share of requests is random
)
SAMPLES = (1_000, 10_000, 100_000)
CLIENTS = 8
LIFE = 500  # requests of one connection: the next connection may come to the other worker

TOKEN = {"Authorization": f"Bearer {LOCAL_TOKEN}", "Content-Type": "application/json"}
# Older than the rows that are read below: each response costs the same at the end, though the table grows.
EVENT = '{"user_id": 1, "kind": "login", "at": "2025-01-01T00:00:00Z"}'
REQUESTS: tuple[tuple[str, str, str | None, dict[str, str], int], ...] = (  # method, path, body, headers, status
    ("GET", "/api/users?limit=50", None, TOKEN, 200),
    ("GET", "/api/users/1", None, TOKEN, 200),
    ("GET", "/api/users/active?since=2026-01-01T00:00:00Z", None, TOKEN, 200),
    ("POST", "/api/events", EVENT, TOKEN, 201),
    ("GET", "/api/legacy/customers", None, TOKEN, 200),
    ("GET", "/api/users/99999999", None, TOKEN, 404),
    ("GET", "/nowhere/{number}", None, TOKEN, 404),
    ("GET", "/api/users", None, {}, 401),
    ("POST", "/api/users", '{"username": ', TOKEN, 400),
    ("GET", "/api/users?after={number}", None, TOKEN, 200),
)


def main() -> int:
    """Measure, print and write; the exit code says whether every bar was kept."""
    parser = argparse.ArgumentParser(description="Measure the memory of a worker over many requests.")
    parser.add_argument("--requests", type=int, default=2_000 if SMALL else 100_000)
    total: int = parser.parse_args().requests
    steps = sorted({*(sample for sample in SAMPLES if sample < total), total})
    with TemporaryDirectory() as data, TemporaryDirectory() as drivers:
        samples = measured(steps, embedded_environ(Path(data), Path(drivers)))
    return finish("memory", list(results_of(steps, samples)))


def measured(steps: list[int], environ: dict[str, str]) -> list[dict[int, tuple[float, float]]]:
    """Return RSS and PSS of each worker, by its process id, after the number of requests of each step."""
    samples = []
    with running(environ) as service:
        drain = threading.Thread(target=lambda: [None for _ in service.process.stdout or ()])
        drain.start()
        try:
            before, start = 0, time.monotonic()
            for step in steps:
                numbers = iter(range(before, step))  # shared: each thread takes the next number
                with ThreadPoolExecutor(CLIENTS) as clients:
                    for done in [clients.submit(send, service.port, numbers) for _ in range(CLIENTS)]:
                        done.result()
                before = step
                samples.append({pid: memory(pid) for pid in workers(service)})
                print(f"{step:,} requests in {time.monotonic() - start:.0f} s: {samples[-1]}", file=sys.stderr)
        finally:
            service.process.terminate()
            drain.join()
    if any(sample.keys() != samples[0].keys() for sample in samples):
        raise SystemExit(f"A worker was replaced meanwhile: {[sorted(sample) for sample in samples]}")
    return samples


def workers(service: Service) -> list[int]:
    """Return gunicorn's processes except the master, which is the first."""
    return sorted(pid for pid, command in service.descendants().items() if "gunicorn" in command)[1:]


def memory(pid: int) -> tuple[float, float]:
    """Return RSS and PSS of the process, in MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB", rollup, re.MULTILINE))
    return int(found["Rss"]) * 1024 / 1e6, int(found["Pss"]) * 1024 / 1e6


def send(port: int, numbers: Iterator[int]) -> None:
    """Send the requests of these numbers over one connection at a time, the kinds in turn."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    for sent, number in enumerate(numbers, start=1):
        method, path, body, headers, expected = REQUESTS[number % len(REQUESTS)]
        connection.request(method, path.format(number=number), body, headers)
        response = connection.getresponse()
        said = response.read()
        if response.status != expected:
            raise SystemExit(f"{method} {path}: {response.status} instead of {expected}: {said[:200]!r}")
        if sent % LIFE == 0:
            connection.close()  # the next request opens the connection again
    connection.close()


def results_of(steps: list[int], samples: list[dict[int, tuple[float, float]]]) -> Iterator[Result]:
    """Yield the memory of each worker, and its growth between the last two samples."""
    for number, pid in enumerate(sorted(samples[0]), start=1):
        for step, sample in zip(steps, samples, strict=True):
            rss, pss = sample[pid]
            yield at_most(f"worker {number}, RSS after {step:,} requests", round(rss, 1), "MB", BAR)
            yield at_most(f"worker {number}, PSS after {step:,} requests", round(pss, 1), "MB", BAR)
        if len(steps) > len(SAMPLES) - 1:
            grown = samples[-1][pid][0] - samples[-2][pid][0]
            name = f"worker {number}, RSS from {steps[-2]:,} to {steps[-1]:,} requests"
            yield at_most(name, round(grown, 1), "MB", GROWTH)


if __name__ == "__main__":
    sys.exit(main())
