"""Clients of the real service that create a user and read it back. They run in a pod, with Python alone.

`python traffic.py pairs HOST:PORT PREFIX CLIENTS NUMBER` makes NUMBER pairs of a write and a read; in every second pair
the client waits before the read, so that a replica may serve it. `python traffic.py load HOST:PORT PREFIX CLIENTS
SECONDS` lets each client write once and read four times in each second. No client asks twice for the same: each sends
its token along, and reads the last user whose creation was accepted. The output is a JSON list of `Asked`.
"""

import json
import os
import sys
import threading
import time
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

READS_PER_WRITE = 4
PERIOD_SECONDS = 1.0
PAUSE_SECONDS = 0.6  # longer than a probe's interval and an evaluation
TIMEOUT_SECONDS = 30


class Asked(NamedTuple):
    """A request: `write` or `read`, or `stale` for a read that lacked the client's own user."""

    kind: str
    began_at: float  # time.time()
    seconds: float
    status: int  # 0: no answer
    name: str  # of the user


class Client:
    """A client with one connection, which is opened again after an error."""

    def __init__(self, address: str, prefix: str, asked: list[Asked]) -> None:
        self._connection = HTTPConnection(address, timeout=TIMEOUT_SECONDS)
        self._prefix = prefix
        self._asked = asked
        self._token = ""
        self._written = 0
        self._key = 0
        self._name = ""

    def write(self) -> None:
        """Create a user."""
        self._written += 1
        name = f"{self._prefix}-{self._written}"
        status, body = self._ask("write", "POST", "/api/users", name, json.dumps({"username": name}))
        if status == 201:
            self._key, self._name = json.loads(body)["id"], name

    def read(self) -> None:
        """Read the last user that this client created."""
        if self._name:
            self._ask("read", "GET", f"/api/users/{self._key}", self._name)

    def _ask(self, kind: str, method: str, path: str, name: str, sent: str | None = None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {os.environ['API_TOKEN']}", "Content-Type": "application/json"}
        if self._token:
            headers["Switchyard-Position"] = self._token
        began_at, status, body = time.time(), 0, b""
        try:
            self._connection.request(method, path, sent, headers)
            response = self._connection.getresponse()
            status, body = response.status, response.read()
            self._token = response.headers.get("Switchyard-Position", self._token)
        except (OSError, HTTPException) as error:
            self._connection.close()
            print(f"{method} {path}: {error!r}", file=sys.stderr)
        if kind == "read" and (status == 404 or (status == 200 and json.loads(body)["username"] != name)):
            kind = "stale"
        self._asked.append(Asked(kind, began_at, time.time() - began_at, status, name))
        return status, body


def pairs(client: Client, number: int) -> None:
    """Write and read in turn."""
    for turn in range(number):
        client.write()
        time.sleep(PAUSE_SECONDS * (turn % 2))
        client.read()


def load(client: Client, seconds: float, first_seconds: float) -> None:
    """Write once and read READS_PER_WRITE times in each period, evenly spaced."""
    step = PERIOD_SECONDS / (1 + READS_PER_WRITE)
    next_at = time.monotonic() + first_seconds
    ends_at = next_at + seconds
    turn = 0
    while (now := time.monotonic()) < ends_at:
        time.sleep(max(next_at - now, 0))
        (client.read if turn % (1 + READS_PER_WRITE) else client.write)()
        turn, next_at = turn + 1, max(next_at + step, time.monotonic())


def main() -> None:
    """Run the clients, and print their requests."""
    mode, address, prefix = sys.argv[1:4]
    clients, amount = int(sys.argv[4]), float(sys.argv[5])
    asked: list[Asked] = []
    threads = []
    for number in range(clients):
        client = Client(address, f"{prefix}-{number}", asked)
        act = {
            "pairs": partial(pairs, client, int(amount) // clients),
            "load": partial(load, client, amount, number * PERIOD_SECONDS / clients),
        }[mode]
        threads.append(threading.Thread(target=act))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump(asked, sys.stdout)


if __name__ == "__main__":
    main()
