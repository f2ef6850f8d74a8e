"""The Docker engine: whether it can be used, and a network whose containers do not outlive their test run."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.networks import Network

LABEL = "org.switchyard.integration"  # its value: the process that owns the container or network


class UnavailableError(Exception):
    """No engine answers, an image is neither here nor to be pulled, or a driver is missing."""


@contextmanager
def network(*images: str) -> Iterator[Network]:
    """Yield a network of our own on an engine that holds the images; raise UnavailableError."""
    engine = _engine(images)
    made = engine.networks.create(f"switchyard-it-{secrets.token_hex(3)}", labels={LABEL: str(os.getpid())})
    try:
        yield made
    finally:
        with suppress(NotFound):
            made.remove()
        engine.close()


def _alive(process: int) -> bool:
    """Say whether the process runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _engine(images: tuple[str, ...]) -> docker.DockerClient:
    """Return the engine once it holds the images, without what dead runs left; raise UnavailableError."""
    try:
        engine = docker.from_env()
        engine.ping()
    except DockerException as error:
        raise UnavailableError(f"no Docker engine answers ({error})") from error
    for image in images:
        try:
            engine.images.get(image)
        except ImageNotFound:
            try:
                engine.images.pull(image)
            except APIError as error:
                raise UnavailableError(f"image {image} is not here, nor to be pulled ({error.explanation})") from error
    for container in engine.containers.list(all=True, filters={"label": LABEL}):
        if not _alive(int(container.labels[LABEL])):
            container.remove(force=True, v=True)
    for network in engine.networks.list(filters={"label": LABEL}):
        if not _alive(int(network.attrs["Labels"][LABEL])):
            network.remove()
    return engine
