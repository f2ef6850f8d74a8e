"""The worker class: the main loop reads requests and sends responses; threads run the application in between.

gunicorn's own threaded worker gives a connection to a thread before the request has arrived. As many silent clients as
the worker has threads then stop it.
"""

import errno
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from django.conf import settings
from gunicorn.errors import ConfigError  # type: ignore[import-untyped]  # gunicorn has no types
from gunicorn.util import write_error  # type: ignore[import-untyped]  # as above

from config.buffering.connection import Awaited, Connection
from config.buffering.draining import DrainingWorker
from config.buffering.incoming import IncomingRequest
from config.buffering.pace import GRACE_SECONDS, LINGER_SECONDS, MAX_BUFFERED_BYTES, MAX_KERNEL_BYTES, Pace

# Each path has a thread of its own: probes are answered while all other threads wait for databases.
PROBES = ("/livez", "/readyz")
SWEEP_SECONDS = 0.5
READ_BYTES = 64 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BufferingWorker(DrainingWorker):
    """Run the application in threads, and wait for clients in the main loop."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waiting: dict[Connection, Awaited] = {}  # the first waits longest
        self._buffered_bytes = 0
        self._next_sweep_at = 0.0
        self._probe_pools: dict[str, ThreadPoolExecutor] = {}

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:  # noqa: ARG003 - gunicorn's signature
        if cfg.is_ssl:
            raise ConfigError("BufferingWorker speaks plain HTTP. Let a proxy end TLS.")

    def init_process(self) -> None:
        self._probe_pools = {path: ThreadPoolExecutor(max_workers=1) for path in PROBES}
        for listener in self.sockets:
            if listener.FAMILY != socket.AF_UNIX:  # accepted sockets inherit it
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_KERNEL_BYTES)
        super().init_process()

    # Connections that wait for their client

    def accept(self, listener: Any) -> None:
        try:
            client_socket, client = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._drop_first()
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                raise
            return
        self.nr_conns += 1
        self._make_room()
        connection = Connection(client_socket, client, listener.getsockname())
        self._begin_request(connection)
        self._read(connection)
        if connection.incoming and not connection.incoming.started and not connection.closed:
            self._wait(connection, Awaited.FIRST_BYTE, time.monotonic() + GRACE_SECONDS)

    def _wait(self, connection: Connection, awaited: Awaited, expires_at: float) -> None:
        events = EVENT_WRITE if awaited is Awaited.READER else EVENT_READ
        before = self._waiting.get(connection)
        if before is None:
            self.poller.register(connection.socket, events, partial(self._on_ready, connection))
        elif before is not awaited:
            del self._waiting[connection]  # and becomes the last
            self.poller.modify(connection.socket, events, partial(self._on_ready, connection))
        self._waiting[connection] = awaited
        connection.expires_at = expires_at

    def _stop_waiting(self, connection: Connection) -> None:
        if self._waiting.pop(connection, None) is not None:
            self.poller.unregister(connection.socket)

    def _on_ready(self, connection: Connection, _socket: socket.socket) -> None:
        match self._waiting.get(connection):  # None: an event before this one closed the connection
            case Awaited.FIRST_BYTE | Awaited.REQUEST:
                self._read(connection)
            case Awaited.READER:
                self._send(connection)
            case Awaited.END:
                self._read_to_end(connection)

    def _close(self, connection: Connection, *, reset: bool = False) -> None:
        self._stop_waiting(connection)
        self._buffered_bytes -= connection.counted_bytes
        self.nr_conns -= 1
        connection.close(reset=reset)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close the connections whose client took too long; with `force` all that wait for their client."""
        now = time.monotonic()
        if now < self._next_sweep_at and not force:
            return
        self._next_sweep_at = now + SWEEP_SECONDS
        expired = [(each, awaited) for each, awaited in self._waiting.items() if force or each.expires_at <= now]
        for connection, awaited in expired:
            if awaited is Awaited.READER:
                connection.expires_at = connection.sock.expires_at
            if awaited is Awaited.REQUEST and not force:
                self._refuse_late(connection)
            elif force or connection.expires_at <= now:
                self._close(connection, reset=awaited is Awaited.READER)

    def _refuse_late(self, connection: Connection) -> None:
        self._stop_waiting(connection)
        try:
            write_error(connection.sock, 408, "Request Timeout", "The request did not arrive in time.")
        except OSError:
            self._close(connection)
        else:
            self._end(connection)

    def _cap_keepalive(self, deadline: float) -> None:
        """Give idle connections until the deadline, because the worker stops."""
        for connection, awaited in self._waiting.items():
            if awaited is Awaited.FIRST_BYTE:
                connection.expires_at = min(connection.expires_at, deadline)

    # Limits of the worker

    def _count(self, connection: Connection) -> None:
        held = connection.buffered_bytes
        self._buffered_bytes += held - connection.counted_bytes
        connection.counted_bytes = held

    def _make_room(self) -> None:
        """Close the connections that wait longest, until the others are within the limits."""
        while self._waiting and self.nr_conns >= self.worker_connections:
            self._drop_first()
        while self._buffered_bytes > MAX_BUFFERED_BYTES:
            holder = next((waiting for waiting in self._waiting if waiting.counted_bytes), None)
            if holder is None:
                return
            self._close(holder, reset=True)

    def _drop_first(self) -> None:
        if first := next(iter(self._waiting), None):
            self._close(first, reset=self._waiting[first] is Awaited.READER)

    # Reading

    def _begin_request(self, connection: Connection) -> None:
        connection.requests += 1
        connection.incoming = IncomingRequest(
            self.cfg,
            connection.client,
            connection.requests,
            max_body_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE or MAX_BUFFERED_BYTES,
        )
        connection.pace = None

    def _await_request(self, connection: Connection) -> None:
        self._begin_request(connection)
        behind, connection.behind = connection.behind, b""
        if behind and connection.incoming:
            self._receive(connection, connection.incoming, behind)
        else:
            seconds = self.cfg.keepalive if self.alive else LINGER_SECONDS
            self._wait(connection, Awaited.FIRST_BYTE, time.monotonic() + seconds)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and connection.incoming:
            self._receive(connection, connection.incoming, data)
        else:
            self._close(connection)

    def _receive(self, connection: Connection, incoming: IncomingRequest, data: bytes) -> None:
        first = not incoming.started
        try:
            connection.request = incoming.feed(data)
        except Exception as error:  # noqa: BLE001 - gunicorn's worker does the same; handle_error() logs it
            self._stop_waiting(connection)
            self.handle_error(None, connection.sock, connection.client, error)
            self._end(connection)
            return
        self._count(connection)
        if connection.request is not None:
            self._stop_waiting(connection)
            connection.behind = incoming.behind()
            connection.sends_on = incoming.too_big or bool(connection.behind)
            self.enqueue_req(connection)
        else:
            if first:
                self._wait(connection, Awaited.REQUEST, time.monotonic() + GRACE_SECONDS)
            if incoming.head_complete:
                self._await_body(connection, incoming, len(data))
        self._make_room()

    def _await_body(self, connection: Connection, incoming: IncomingRequest, received: int) -> None:
        if connection.pace is None:
            connection.pace = Pace()
            if incoming.expects_continue and not self._send_continue(connection):
                return
        connection.pace.transferred(received)
        connection.expires_at = connection.pace.expires_at

    def _send_continue(self, connection: Connection) -> bool:
        try:
            connection.sock.sendall(CONTINUE)
        except OSError:
            self._close(connection)
            return False
        return True

    # Running the application

    def enqueue_req(self, connection: Connection) -> None:
        pool = self._probe_pools.get(connection.request.path) or self.tpool
        pool.submit(self.handle, connection).add_done_callback(
            lambda done: self.method_queue.defer(self.finish_request, connection, done)
        )

    def handle(self, connection: Connection) -> bool:
        """Run the application, in a thread; tell whether the connection stays open."""
        try:
            return bool(self.handle_request(connection.request, connection))
        except StopIteration:
            self.log.debug("The application failed within the response.")
        except (BrokenPipeError, ConnectionResetError, ConnectionAbortedError) as error:
            self.log.debug("The client is gone: %s", error)
            raise
        except OSError:
            self.log.exception("Socket error processing request.")
            raise
        except Exception as error:  # noqa: BLE001 - gunicorn's worker does the same; handle_error() logs it
            self.handle_error(connection.request, connection.sock, connection.client, error)
        return False

    def finish_request(self, connection: Connection, done: "Future[bool]") -> None:
        connection.request = connection.incoming = None
        if done.exception() is not None:
            self._close(connection, reset=True)
            return
        connection.keep_alive = done.result()
        self._send(connection)
        self._make_room()

    # Sending

    def _send(self, connection: Connection) -> None:
        """Send what is unsent of the response; then await the next request, or the end."""
        try:
            complete = connection.sock.flush()
        except OSError:
            self._close(connection)
            return
        self._count(connection)
        if not complete:
            self._wait(connection, Awaited.READER, connection.sock.expires_at)
        elif connection.keep_alive:
            self._await_request(connection)
        elif connection.sends_on:
            self._linger(connection)
        else:
            self._close(connection)

    def _end(self, connection: Connection) -> None:
        """Send what is unsent, an error, and close the connection."""
        connection.incoming, connection.keep_alive, connection.sends_on = None, False, True
        self._send(connection)

    def _linger(self, connection: Connection) -> None:
        """Close this side, and read on until the client closes its own: a reset would take the response away."""
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(connection)
        else:
            self._wait(connection, Awaited.END, time.monotonic() + LINGER_SECONDS)

    def _read_to_end(self, connection: Connection) -> None:
        try:
            if connection.socket.recv(READ_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            self.log.debug("The client reset a connection that was about to end.")
        self._close(connection)
