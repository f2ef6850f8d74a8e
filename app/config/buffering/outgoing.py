"""A response, sent without waiting: the main loop sends later what the kernel does not take at once."""

import fcntl
import os
import select
import socket
import sys
import termios
import time
from collections import deque
from typing import IO

from config.buffering.pace import MAX_UNSENT_BYTES, Pace


class OutgoingResponse:
    """Stands in the place of the client's socket for gunicorn's response.

    Used by one thread at a time: first by the thread that runs the application, then by the main loop.
    """

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._parts: deque[_Bytes | _File] = deque()
        self._pace: Pace | None = None  # while something is unsent
        self._sent_bytes = 0
        self._read_bytes = 0  # when the pace was last asked
        self.unsent_bytes = 0  # in memory; parts of files are not

    def sendall(self, data: bytes) -> None:
        """Send the data, or keep what the client does not read yet.

        Waits only if a streamed response is far ahead of its reader. Raises ConnectionError when the client is gone or
        reads too slowly.
        """
        self._wait_for_reader()
        self._parts.append(_Bytes(data))
        self.unsent_bytes += len(data)
        self.flush()

    send = sendall

    def sendfile(self, file: IO[bytes], offset: int = 0, count: int = 0) -> None:
        """Send `count` bytes of the file; the file may be closed afterwards."""
        self._parts.append(_File(os.dup(file.fileno()), offset, count))
        self.flush()

    def flush(self) -> bool:
        """Send what the kernel takes; tell whether nothing is left."""
        while self._parts:
            part = self._parts[0]
            try:
                sent = part.send(self._client)
            except BlockingIOError:
                if self._pace is None:
                    self._pace, self._read_bytes = Pace(), self._count_read()
                return False
            self._sent_bytes += sent
            self.unsent_bytes -= sent if part.in_memory else 0
            if not part.left:
                self._parts.popleft().close()
        self._pace = None
        return True

    @property
    def expires_at(self) -> float:
        """The time.monotonic() until which the client must have read more. Asks the kernel for what it has read."""
        if self._pace is None:
            return time.monotonic()
        read = self._count_read()
        self._pace.transferred(read - self._read_bytes)
        self._read_bytes = read
        return self._pace.expires_at

    def _count_read(self) -> int:
        """Return how many bytes the client's side has acknowledged."""
        waiting = fcntl.ioctl(self._client, termios.TIOCOUTQ, bytes(4))
        return self._sent_bytes - int.from_bytes(waiting, sys.byteorder)

    def discard(self) -> None:
        """Forget what is unsent."""
        while self._parts:
            self._parts.popleft().close()
        self.unsent_bytes, self._pace = 0, None

    def _wait_for_reader(self) -> None:
        while self.unsent_bytes > MAX_UNSENT_BYTES:
            writable = select.poll()
            writable.register(self._client, select.POLLOUT)
            writable.poll(max(self.expires_at - time.monotonic(), 0) * 1000)
            if not self.flush() and time.monotonic() >= self.expires_at:
                raise ConnectionAbortedError("The client reads too slowly.")

    # gunicorn closes the connection itself where an application fails within a response, or answers an error. Here the
    # main loop closes it, after what is unsent.

    def gettimeout(self) -> float:
        return 0.0

    def settimeout(self, seconds: float | None) -> None: ...

    def shutdown(self, how: int) -> None: ...

    def recv(self, size: int) -> bytes:
        return b""

    def close(self) -> None: ...


class _Bytes:
    in_memory = True

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    @property
    def left(self) -> int:
        return len(self._data)

    def send(self, client: socket.socket) -> int:
        sent = client.send(self._data) if self._data else 0
        self._data = self._data[sent:]
        return sent

    def close(self) -> None: ...


class _File:
    in_memory = False

    def __init__(self, descriptor: int, offset: int, left: int) -> None:
        self._descriptor, self._offset, self.left = descriptor, offset, left

    def send(self, client: socket.socket) -> int:
        sent = os.sendfile(client.fileno(), self._descriptor, self._offset, self.left) if self.left else 0
        if self.left and not sent:
            raise ConnectionAbortedError("The file became shorter while it was sent.")
        self._offset += sent
        self.left -= sent
        return sent

    def close(self) -> None:
        os.close(self._descriptor)
