"""Clients that read all the time, whatever happens to the servers, and record each read."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException

from tests.bench.pair import KNOWN
from tests.bench.serving import TIMEOUT, Client

CLIENTS = 6
PAUSE = 0.005  # seconds between two reads of a client


@dataclass(frozen=True)
class Read:
    """One read: its begin, its duration, and the alias that served it; no alias if the read failed."""

    began: float
    seconds: float
    alias: str
    failure: str = ""


@dataclass
class Readers:
    """The reads of the clients up to now."""

    reads: list[Read] = field(default_factory=list)

    @property
    def failures(self) -> list[Read]:
        """Return the reads that failed."""
        return [read for read in self.reads if read.failure]

    def slowest(self) -> float:
        """Return the seconds of the slowest read."""
        return max(read.seconds for read in self.reads)

    def last_by(self, aliases: str, *, since: float, until: float) -> float:
        """Return the seconds from `since` to the begin of the last read that an alias with this prefix served."""
        began = [read.began for read in self.reads if since <= read.began <= until and read.alias.startswith(aliases)]
        return max(began, default=since) - since

    def wait_for(self, count: int) -> None:
        """Wait until this number of reads is done."""
        while len(self.reads) < count:
            time.sleep(0.05)


@contextmanager
def reading(port: int) -> Iterator[Readers]:
    """Let clients without required positions read in this block."""
    readers, ended = Readers(), threading.Event()

    def read() -> None:
        with Client(port) as client:
            while not ended.is_set():
                client.forget()
                readers.reads.append(one(client))
                time.sleep(PAUSE)

    threads = [threading.Thread(target=read) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield readers
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def one(client: Client) -> Read:
    """Read once."""
    began = time.monotonic()
    try:
        answer = client.ask("GET", f"/rows/{KNOWN}")
        alias = answer.found["alias"] or ""
    except (OSError, HTTPException, RuntimeError) as error:
        return Read(began, time.monotonic() - began, "", str(error) or f"no answer within {TIMEOUT} s")
    return Read(began, answer.seconds, alias, "" if alias else "the row is missing")
