"""Clients that hold a connection instead of using it: silent, slow and idle ones, for tests and benchmarks.

`python -m tests.support.slow_clients PORT KIND NUMBER` keeps that many clients of one kind connected, until the process
is ended. A client whose connection the server closes connects again. One line on standard output says that all are
connected.
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.support.service import SECRETS

HOST = b"Host: localhost\r\n"
TOKEN = f"Authorization: Bearer {SECRETS['API_TOKEN']}\r\nContent-Type: application/json\r\n".encode()
SMALL_WINDOW = 2048  # bytes of the receive buffer; the kernel doubles it
BIG_FILE = "/static/admin/js/vendor/xregexp/xregexp.js"
BIG_ANSWER = "/api/users?limit=500"
PAUSE_SECONDS = 0.2  # before a client connects again
RAMP_SECONDS = 10.0  # in which 200 or more clients connect: their number is measured, not the load of their arrival

type Talk = Callable[[socket.socket], Awaitable[None]]


async def say_nothing(_client: socket.socket) -> None:
    """Connect, and send nothing."""


async def send_half_a_header(client: socket.socket) -> None:
    """Send a header without its end, and nothing more."""
    await _send(client, b"GET /livez HTTP/1.1\r\n" + HOST + b"X-Half: ")


async def drip_a_header(client: socket.socket) -> None:
    """Send one byte of a header each second."""
    await _send(client, b"GET /livez HTTP/1.1\r\n" + HOST)
    while True:
        for byte in (b"X", b":", b"y", b"\r\n"):
            await asyncio.sleep(1)
            await _send(client, byte)


async def leave_out_the_body(client: socket.socket) -> None:
    """Announce a body of 100,000 bytes, and send ten of them."""
    await _send(client, b"POST /api/users HTTP/1.1\r\n" + HOST + TOKEN + b"Content-Length: 100000\r\n\r\n0123456789")


async def never_end_the_chunks(client: socket.socket) -> None:
    """Send a small chunk of a body each second, and never the last one."""
    await _send(client, b"POST /api/users HTTP/1.1\r\n" + HOST + TOKEN + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        await _send(client, b"1\r\nx\r\n")
        await asyncio.sleep(1)


async def read_a_file_slowly(client: socket.socket) -> None:
    """Ask for a file, and read one byte each second."""
    await _read_slowly(client, 1, b"GET " + BIG_FILE.encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n")


async def read_an_answer_slowly(client: socket.socket) -> None:
    """Ask for a big answer of the API, and read a kilobyte each second."""
    await _read_slowly(client, 1000, b"GET " + BIG_ANSWER.encode() + b" HTTP/1.1\r\n" + HOST + TOKEN + b"\r\n")


async def stay_idle(client: socket.socket) -> None:
    """Make one request, read the response, and keep the connection open."""
    await _send(client, b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n")


async def never_close(client: socket.socket) -> None:
    """Ask for the end of the connection, and keep this side of it open."""
    await _send(client, b"GET /livez HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    await asyncio.sleep(60)


async def _send(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)


async def _read_slowly(client: socket.socket, size: int, request: bytes) -> None:
    await _send(client, request)
    while await asyncio.get_running_loop().sock_recv(client, size):  # noqa: ASYNC110 - it waits for time
        await asyncio.sleep(1)


@dataclass(frozen=True)
class Kind:
    """What a client does after it connected, and how many such clients a server has to stand."""

    talk: Talk
    number: int = 200
    reads_on: bool = True  # until the server closes the connection


KINDS = {
    "silent": Kind(say_nothing),
    "half a header": Kind(send_half_a_header),
    "dripping header": Kind(drip_a_header),
    "unfinished body": Kind(leave_out_the_body),
    "endless chunks": Kind(never_end_the_chunks),
    "slow reader of a file": Kind(read_a_file_slowly, reads_on=False),
    "slow reader of an answer": Kind(read_an_answer_slowly, reads_on=False),
    "idle": Kind(stay_idle, 2_000),
    "never closing": Kind(never_close, reads_on=False),
}


async def client_of(kind: Kind, port: int, delay_seconds: float, connected: Callable[[], None]) -> None:
    """Be one client, for ever."""
    await asyncio.sleep(delay_seconds)
    while True:
        with socket.socket() as client:
            client.setblocking(False)
            if not kind.reads_on:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
            try:
                await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
                connected()
                async with asyncio.TaskGroup() as group:
                    talking = group.create_task(kind.talk(client))
                    if kind.reads_on:
                        await _read_until_closed(client)
                        talking.cancel()
            except* OSError:
                pass  # the server closed the connection
        await asyncio.sleep(PAUSE_SECONDS)


async def _read_until_closed(client: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(client, 65536):
        pass


async def clients_of(kind: Kind, port: int, number: int) -> None:
    """Keep the number of clients connected, for ever."""
    waiting = number
    ready = asyncio.Event()

    def connected() -> None:
        nonlocal waiting
        waiting -= 1
        if waiting == 0:
            ready.set()

    async with asyncio.TaskGroup() as group:
        for each in range(number):
            group.create_task(client_of(kind, port, each / max(number, 200) * RAMP_SECONDS, connected))
        await ready.wait()
        print("connected", flush=True)


if __name__ == "__main__":
    asyncio.run(clients_of(KINDS[sys.argv[2]], int(sys.argv[1]), int(sys.argv[3])))
