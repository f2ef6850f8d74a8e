"""The answers of the worker to the probes of its supervisor: /livez and /readyz."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from switchyard.crossdb.references.worker.worker import Worker

STANDSTILL_SECONDS = 60.0


class _Server(ThreadingHTTPServer):
    """Listens on IPv6 and IPv4 where the system has both."""

    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


@contextmanager
def answering(worker: Worker, port: int) -> Iterator[int]:
    """Answer on all addresses of the port in this block, and return the port; 0 chooses a free port.

    /livez is 503 while the loop stands still for 60 seconds, /readyz until every parent's owner has answered.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers = {"/livez": _is_alive(worker), "/readyz": worker.reached}
            status = HTTPStatus.NOT_FOUND
            if self.path in answers:
                status = HTTPStatus.OK if answers[self.path] else HTTPStatus.SERVICE_UNAVAILABLE
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Log no probe."""

    with _Server(("", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="switchyard-worker-probes", daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def _is_alive(worker: Worker) -> bool:
    return not worker.references or time.monotonic() - worker.turned_at < STANDSTILL_SECONDS
