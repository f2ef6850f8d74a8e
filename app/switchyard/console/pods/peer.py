"""One other pod, and a call in the background that ends late without anybody waiting for it."""

import json
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, NamedTuple

from switchyard.console.pods.record import PodRecord
from switchyard.console.pods.tokens import label_of, tokens
from switchyard.telemetry.recent.pod_record import PATH

DEADLINE_SECONDS = 0.5  # for the names, the connections and the answers of a round together
VALID_SECONDS = 3.0
_DOUBT_SECONDS = 5.0
_MAX_BYTES = 8 * 1024 * 1024  # a pod with 50 aliases sends 2 MB, once
_CHUNK_BYTES = 64 * 1024


class Address(NamedTuple):
    """Where the exporter of a pod listens."""

    host: str
    port: int


class BackgroundCall:
    """A function without result that runs in a thread, once at a time."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._ended = threading.Event()
        self._ended.set()

    def start(self) -> None:
        """Call the function, unless the call before has not ended."""
        if self._ended.is_set():
            self._ended.clear()
            threading.Thread(target=self._run, name="switchyard-pods", daemon=True).start()

    def wait(self, until: float) -> bool:
        """Return True once the call has ended, False at the `time.monotonic()` given."""
        return self._ended.wait(max(until - time.monotonic(), 0.0))

    def _run(self) -> None:
        try:
            self._function()
        finally:
            self._ended.set()


class Peer:
    """Another pod: its last record, kept so that it sends new samples only."""

    def __init__(self, address: Address) -> None:
        self.call = BackgroundCall(self._ask)
        self._address = address
        self.label = label_of(f"{address.host} {address.port}")
        self._record: PodRecord | None = None
        self._answered_at = self._failed_at = self._doubted_until = float("-inf")

    @property
    def pod(self) -> str:
        """The random name of the pod that answered last at the address; empty before the first answer."""
        return self._record.pod if self._record else ""

    @property
    def runs_worker(self) -> bool | None:
        """True if the pod runs a worker of references; None before its first answer."""
        return self._record.runs_worker if self._record else None

    @property
    def is_awaited(self) -> bool:
        """True unless the pod has just failed to answer in time: a page waits for it once, and not each second."""
        return time.monotonic() > self._doubted_until

    def record(self) -> PodRecord | None:
        """Return what the pod answered last; None if that is long ago, or if it has failed since."""
        fresh = time.monotonic() - self._answered_at < VALID_SECONDS and self._answered_at > self._failed_at
        return self._record if fresh else None

    def fail(self) -> None:
        """Remember that the pod has not answered in time."""
        self._failed_at = time.monotonic()
        self._doubted_until = self._failed_at + _DOUBT_SECONDS

    def _ask(self) -> None:
        begun_at = time.monotonic()
        try:
            self._record = self._newer_than(self._record)
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            self.fail()
        else:
            self._answered_at = time.monotonic()
            if self._answered_at - begun_at < DEADLINE_SECONDS:
                self._doubted_until = float("-inf")

    def _newer_than(self, earlier: PodRecord | None) -> PodRecord:
        samples = earlier.recording.samples if earlier else ()
        answer = _get(self._address, after=samples[-1].at if samples else 0.0)
        record = PodRecord.from_answer(answer, self.label)
        if earlier is None:
            return record
        # Another pod, or one with other columns, has sent too little.
        return record.after(earlier) if record.continues(earlier) else self._newer_than(None)


def _get(address: Address, after: float) -> Any:
    """Return the answer of the exporter. Raises OSError, HTTPException or ValueError without a good one."""
    until = time.monotonic() + DEADLINE_SECONDS
    connection = HTTPConnection(*address, timeout=DEADLINE_SECONDS)
    try:
        for token in tokens():  # while a key is replaced, a pod that still has the old one accepts its token only
            connection.request("GET", f"{PATH}?after={after!r}", headers={"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            body = _read(response, until)
            if response.status != HTTPStatus.UNAUTHORIZED:
                break
    finally:
        connection.close()
    return json.loads(body)


def _read(response: HTTPResponse, until: float) -> bytes:
    """Return the body. A pod that sends it byte by byte gets no more time than another one."""
    body = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        body += chunk
        if time.monotonic() > until or len(body) > _MAX_BYTES:
            raise TimeoutError
    return bytes(body)
