"""Clients of the real service, each on a connection of its own: `crowd()` runs them in another process.

The clients record each answer with its time, so that a benchmark can say what one database costs the others.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

from tests.bench.results import ROOT
from tests.bench.serving import TIMEOUT
from tests.support.waiting import until

TOKEN = "for-benchmarks-only-and-long-enough-for-the-service"
PATHS = {
    "livez": "/livez",
    "default": "/api/users",  # a POST, which writes
    "replica": "/api/users?limit=5",
    "analytics": "/api/events?limit=5",
    "legacy": "/api/legacy/customers?limit=5",
    "readyz": "/readyz",
    "healthz": "/healthz",
}


class Answered(NamedTuple):
    """One answer: the `time.monotonic()` at which its request began, its seconds, and its status; 0 for no answer."""

    began_at: float
    seconds: float
    status: int

    @property
    def ended_at(self) -> float:
        """The `time.monotonic()` at which the answer was complete."""
        return self.began_at + self.seconds


@dataclass
class Asking:
    """Clients that ask until `stop()`, each with a pause between two requests."""

    port: int
    asked: str  # a key of PATHS
    clients: int
    pause_seconds: float
    token: str = TOKEN
    answers: list[Answered] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Start the clients."""
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the clients end after their last answers."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def once(self) -> Answered:
        """Ask once, over a connection of its own."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)) as connection:
            return self._answer(connection)

    def _ask(self) -> None:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)) as connection:
            while not self._ended.is_set():
                self.answers.append(self._answer(connection))
                self._ended.wait(self.pause_seconds)

    def _answer(self, connection: HTTPConnection) -> Answered:
        body = json.dumps({"username": os.urandom(12).hex()}) if self.asked == "default" else None
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        began_at, status = time.monotonic(), 0
        try:
            connection.request("POST" if body else "GET", PATHS[self.asked], body, headers)
            response = connection.getresponse()
            response.read()
            status = response.status
        except (OSError, HTTPException):
            connection.close()  # the next request opens it again
        return Answered(began_at, time.monotonic() - began_at, status)


@contextmanager
def crowd(port: int, asked: str, clients: int, *, pause_seconds: float, token: str = TOKEN) -> Iterator[list[Answered]]:
    """Run the clients in another process during this block, which begins when each has an answer.

    The list has their answers after the block.
    """
    command = [sys.executable, "-m", "tests.bench.crowd", str(port), asked, str(clients), str(pause_seconds)]
    answers: list[Answered] = []
    environ = {**os.environ, "CROWD_TOKEN": token}
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        process.stdout.readline()
        yield answers
    finally:
        printed, _ = process.communicate("")  # the end of its input ends it
    answers += [Answered(*answer) for answer in json.loads(printed)]


def main() -> None:
    """Ask until the input ends, and print the answers."""
    port, asked, clients, pause_seconds = sys.argv[1:]
    asking = Asking(int(port), asked, int(clients), float(pause_seconds), os.environ["CROWD_TOKEN"])
    asking.start()
    until(lambda: len(asking.answers) >= asking.clients, "each client has an answer")
    print(flush=True)
    sys.stdin.read()
    asking.stop()
    json.dump(asking.answers, sys.stdout)


if __name__ == "__main__":
    main()
