"""A response to a client that does not read it."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.buffering import pace
from config.buffering.outgoing import OutgoingResponse
from config.buffering.pace import MAX_UNSENT_BYTES

BIG = bytes(range(256)) * (8 * MAX_UNSENT_BYTES // 256)  # more than the kernel takes


@pytest.fixture
def pair() -> Iterator[tuple[OutgoingResponse, socket.socket]]:
    """A response, and the client that should read it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, client:
        ours.setblocking(False)
        client.settimeout(10)
        yield OutgoingResponse(ours), client


def read(response: OutgoingResponse, client: socket.socket, size: int) -> bytes:
    """Return so many bytes of the response, which is sent whenever the client has read."""
    received = bytearray()
    while len(received) < size:
        received += client.recv(65536)
        response.flush()
    return bytes(received)


def send_for_ever(response: OutgoingResponse) -> None:
    """Send a little again and again."""
    while True:
        response.sendall(b"one")
        time.sleep(0.01)


def test_sendall__to_a_reader(pair: tuple[OutgoingResponse, socket.socket]) -> None:
    """A response that the kernel takes is sent at once."""
    response, client = pair

    response.sendall(b"one")

    assert client.recv(10) == b"one"
    assert response.flush()


def test_sendall__to_nobody(pair: tuple[OutgoingResponse, socket.socket]) -> None:
    """A response in one part is taken without waiting, however big, and arrives whole as the client reads."""
    response, client = pair

    response.sendall(BIG)
    unsent = response.unsent_bytes

    assert unsent > MAX_UNSENT_BYTES
    assert not response.flush()
    assert read(response, client, len(BIG)) == BIG
    assert response.flush()
    assert response.unsent_bytes == 0


def test_sendall__of_a_stream_to_nobody(
    pair: tuple[OutgoingResponse, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A streamed response that is far ahead of its reader waits for it, until the deadline."""
    monkeypatch.setattr(pace, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(pace, "MIN_BYTES_PER_SECOND", 1e9)
    response, _ = pair
    response.sendall(BIG)

    with pytest.raises(ConnectionAbortedError, match="reads too slowly"):
        response.sendall(b"more")


def test_sendall__to_a_client_that_is_gone(pair: tuple[OutgoingResponse, socket.socket]) -> None:
    """A client that closed the connection is an error, which ends a streamed response."""
    response, client = pair
    client.close()

    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_for_ever(response)


def test_sendfile__to_nobody(pair: tuple[OutgoingResponse, socket.socket], tmp_path: Path) -> None:
    """A file is sent behind what is unsent, without waiting and without its content in memory, though it is closed."""
    response, client = pair
    path = tmp_path / "file"
    path.write_bytes(BIG)
    response.sendall(b"head")

    with path.open("rb") as file:
        response.sendfile(file, offset=256, count=len(BIG) - 256)
    unsent = response.unsent_bytes

    assert unsent == 0
    assert not response.flush()
    assert read(response, client, len(BIG) - 252) == b"head" + BIG[256:]
    assert response.flush()


def test_sendfile__of_a_file_that_becomes_shorter(pair: tuple[OutgoingResponse, socket.socket], tmp_path: Path) -> None:
    """A file that ends too early is an error, not an endless loop."""
    response, _ = pair
    path = tmp_path / "file"
    path.write_bytes(b"short")

    with path.open("rb") as file, pytest.raises(ConnectionAbortedError):
        response.sendfile(file, count=100)


def test_deadline__moves_with_the_reader(pair: tuple[OutgoingResponse, socket.socket]) -> None:
    """A client has a second more for each 500 bytes that it reads, though the kernel does not take more yet."""
    response, client = pair
    response.sendall(BIG)
    before, unsent = response.expires_at, response.unsent_bytes
    for _ in range(8):
        client.recv(65536)
    for _ in range(500):
        if response.expires_at > before:
            break
        time.sleep(0.01)

    assert response.expires_at - before > 10
    assert response.unsent_bytes == unsent


def test_discard__of_a_file(pair: tuple[OutgoingResponse, socket.socket], tmp_path: Path) -> None:
    """A response that is given up keeps no descriptor."""
    response, _ = pair
    path = tmp_path / "file"
    path.write_bytes(BIG)
    with path.open("rb") as file:
        response.sendfile(file, count=len(BIG))
    opened = len(list(Path("/proc/self/fd").iterdir()))

    response.discard()

    assert len(list(Path("/proc/self/fd").iterdir())) == opened - 1
    assert response.flush()
