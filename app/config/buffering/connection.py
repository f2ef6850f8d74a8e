"""A client's connection to a worker: what it waits for, until when, and how much of it is in memory."""

import socket
import struct
from enum import Enum, auto
from typing import Any

from config.buffering.incoming import IncomingRequest
from config.buffering.outgoing import OutgoingResponse
from config.buffering.pace import Pace

_RESET = struct.pack("ii", 1, 0)  # struct linger: close() sends RST


class Awaited(Enum):
    """What a connection without a thread waits for."""

    FIRST_BYTE = auto()  # of a request: the connection is new or idle
    REQUEST = auto()  # the client has to send the rest of a request
    READER = auto()  # the client has to read the response
    END = auto()  # the client has to close its side


class Connection:
    """One connection. gunicorn's `handle_request()` uses `sock`, `client` and `server` under these names."""

    def __init__(self, client_socket: socket.socket, client: Any, server: Any) -> None:
        self.socket, self.client, self.server = client_socket, client, server
        self.socket.setblocking(False)
        self.sock = OutgoingResponse(client_socket)
        self.requests = 0
        self.incoming: IncomingRequest | None = None  # from the end of the last response until the request is complete
        self.request: Any = None  # gunicorn's request while a thread has it
        self.behind = b""  # bytes that arrived with the request, of the next one
        self.pace: Pace | None = None  # of the body
        self.keep_alive = False
        self.sends_on = False  # the client may send more than was read: closing at once would reset the connection
        self.closed = False
        self.expires_at = 0.0  # time.monotonic(), while it waits
        self.counted_bytes = 0  # in the sum of the worker

    @property
    def buffered_bytes(self) -> int:
        """The size of all that is in memory for this client."""
        incoming = self.incoming.buffered_bytes if self.incoming else 0
        return incoming + len(self.behind) + self.sock.unsent_bytes

    def close(self, *, reset: bool = False) -> None:
        """Close the connection. With `reset` the client sees an error, not the end of a response."""
        self.closed = True
        self.sock.discard()
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.socket.close()
