"""Servers outside the cluster: containers beside its node."""

import io
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from docker.models.containers import Container
from tests.support.engine import LABEL, engine_with

_NETWORK = "kind"  # the network of Docker that kind makes for its nodes
_USER = 999  # of the servers in their images; PostgreSQL refuses a key that others can read


@dataclass(frozen=True)
class OutsideServer:
    """A running container. Pods reach it by the name `host` with the objects of `service()`."""

    host: str
    container: Container
    address: str

    def ask(self, *command: str) -> list[str]:
        """Return the lines that a client inside the container prints."""
        result = self.container.exec_run(list(command), user="root")
        text: str = result.output.decode()
        assert result.exit_code == 0, text
        return text.splitlines()

    def service(self, port: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a Service without pods that has the name of the server, and its address."""
        ports = [{"name": "database", "port": port}]
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self.host},
            "spec": {"clusterIP": "None", "ports": ports},
        }
        addresses = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": self.host, "labels": {"kubernetes.io/service-name": self.host}},
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": [{"addresses": [self.address], "conditions": {"ready": True}}],
        }
        return service, addresses


@contextmanager
def outside_server(
    host: str, image: str, *, files: Mapping[str, str], command: Sequence[str] = (), **environment: str
) -> Iterator[OutsideServer]:
    """Run a server beside the node, and remove it after the block. `files` are its files by path.

    Raises UnavailableError if the image is missing and cannot be pulled.
    """
    engine = engine_with(image)
    container = engine.containers.create(
        image, list(command), environment=environment, network=_NETWORK, labels={LABEL: str(os.getpid())}
    )
    try:
        container.put_archive("/", _archive(files))
        container.start()
        container.reload()
        address: str = container.attrs["NetworkSettings"]["Networks"][_NETWORK]["IPAddress"]
        yield OutsideServer(host, container, address)
    finally:
        container.remove(force=True, v=True)
        engine.close()


def _archive(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.uid, entry.gid = len(text.encode()), 0o600, _USER, _USER
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()
