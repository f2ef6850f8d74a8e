"""Clients of the service, in a pod of the cluster, which runs this file alone: it uses the standard library only.

Each client writes a user every second, and four times between two writes it reads: the user of its last write, an
earlier user of its own, and twice what belongs to nobody. Nothing is tried again. Every second client keeps its
connection; the others open a connection for each request.

`python load.py HOST PORT PREFIX CLIENTS RECORD` appends each answer to the file RECORD until RECORD.stop exists.
"""

import json
import os
import queue
import random
import socket
import sys
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

SLOT_SECONDS = 0.2  # one write and four reads of a client are one second
TIMEOUT_SECONDS = 15
POSITION = "Switchyard-Position"


class Client(threading.Thread):
    """One client, which sends the position of its last answer along when it reads its own users."""

    def __init__(self, number: int, address: tuple[str, int, str], prefix: str, record: queue.SimpleQueue[Any]) -> None:
        super().__init__(daemon=True)
        self._number = number
        host, port, self._host_header = address
        self._connection = HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        self._keeps_connection = number % 2 == 0
        self._prefix = prefix
        self._record = record
        self._position = ""
        self._written: list[tuple[int, str]] = []
        self._ended = threading.Event()

    def end(self) -> None:
        """End after the answer to come."""
        self._ended.set()

    def run(self) -> None:
        writes = 0
        next_at = time.monotonic() + random.random()  # the clients do not ask at the same moment
        while not self._ended.wait(max(next_at - time.monotonic(), 0)):
            slot = round(next_at / SLOT_SECONDS) % 5
            if slot == 0:
                writes += 1
                self._write(f"{self._prefix}-{self._number}-{writes}")
            elif slot in {1, 2} and self._written:
                self._read_own(self._written[-1] if slot == 1 else random.choice(self._written))
            else:
                paths = ("/api/users?limit=5", "/api/events?limit=5", "/api/legacy/customers?limit=5")
                self._ask("read", "GET", paths[random.choice((0, 0, 1, 2))], own=False)
            next_at = max(next_at + SLOT_SECONDS, time.monotonic())

    def _write(self, name: str) -> None:
        status, document = self._ask("write", "POST", "/api/users", name=name)
        if status == 201:
            self._written.append((document["id"], name))

    def _read_own(self, user: tuple[int, str]) -> None:
        key, name = user
        self._ask("own read", "GET", f"/api/users/{key}", name=name)

    def _ask(self, kind: str, method: str, path: str, *, name: str = "", own: bool = True) -> tuple[int, Any]:
        body = json.dumps({"username": name}) if method == "POST" else None
        headers = {
            "Host": self._host_header,
            "Authorization": f"Bearer {os.environ['API_TOKEN']}",
            "Content-Type": "application/json",
            **({POSITION: self._position} if own and self._position else {}),
            **({} if self._keeps_connection else {"Connection": "close"}),
        }
        began_at, began, status, document, outcome = time.time(), time.monotonic(), 0, {}, ""
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            status, document = response.status, json.loads(response.read() or "{}")
            if own:
                self._position = response.headers.get(POSITION, self._position)
        except (OSError, HTTPException, ValueError) as error:
            outcome = type(error).__name__
            self._connection.close()
        if not self._keeps_connection:
            self._connection.close()
        if kind == "own read" and (status == 404 or (status == 200 and document["username"] != name)):
            outcome = "stale"
        seconds = time.monotonic() - began
        self._record.put((kind, round(began_at, 3), round(seconds, 4), outcome or str(status), name))
        return status, document


def main() -> None:
    """Run the clients until the file that ends them exists."""
    host, port, prefix, clients, record = sys.argv[1:]
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    address = (socket.gethostbyname(host), int(port), host)
    running = [Client(number, address, prefix, answers) for number in range(int(clients))]
    for client in running:
        client.start()
    with Path(record).open("a") as file:
        while not Path(f"{record}.stop").exists():
            time.sleep(1)
            _drain(answers, file)
        for client in running:
            client.end()
        for client in running:
            client.join()
        _drain(answers, file)
    Path(f"{record}.ended").touch()
    time.sleep(3600)  # the record is read from the running container


def _drain(answers: queue.SimpleQueue[Any], file: Any) -> None:
    while not answers.empty():
        file.write(json.dumps(answers.get()) + "\n")
    file.flush()


if __name__ == "__main__":
    main()
