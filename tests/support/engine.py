"""The Docker engine, and a network for the containers of one test run.

The next run removes containers and networks that a killed run left behind.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest import SkipTest

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from tests.support.waiting import until

LABEL = "org.switchyard.integration"  # the value is the id of the process that owns the container or network
_REMOVED_BY_ANOTHER = {403, 404, 409}  # a network with containers, nothing there, a removal in progress


class UnavailableError(SkipTest):
    """Real servers cannot start: no engine answers, an image cannot be pulled, or a driver is missing.

    pytest skips a test whose fixture or body raises it.
    """


@contextmanager
def network(*images: str) -> Iterator[Network]:
    """Yield a new network on an engine that has the images, and remove it after the block. Raises UnavailableError."""
    engine = engine_with(*images)
    made = engine.networks.create(f"switchyard-it-{secrets.token_hex(3)}", labels={LABEL: str(os.getpid())})
    try:
        yield made
    finally:
        with suppress(NotFound):
            made.remove()
        engine.close()


@contextmanager
def frozen(container: Container) -> Iterator[None]:
    """Freeze all processes of the container in this block: connections stay open, and nothing answers."""

    def freezes() -> bool:
        # The freezer of cgroup v1 fails now and then on a busy machine, and runc leaves the next attempt to its caller:
        # https://github.com/opencontainers/runc/pull/4388
        try:
            container.pause()
        except APIError as error:
            if "unable to freeze" not in str(error):
                raise
            return False
        return True

    until(freezes, f"container {container.short_id} is frozen", seconds=20)
    try:
        yield
    finally:
        container.unpause()


def _alive(process: int) -> bool:
    """Return True if the process runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def engine_with(*images: str) -> docker.DockerClient:
    """Pull the images and remove the leftovers of dead runs; return the engine. Raises UnavailableError."""
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
                raise UnavailableError(
                    f"image {image} is missing and cannot be pulled ({error.explanation})"
                ) from error
    for container in engine.containers.list(all=True, filters={"label": LABEL}):
        if not _alive(int(container.labels[LABEL])):
            _remove(container, force=True, v=True)
    for network in engine.networks.list(filters={"label": LABEL}):
        if not _alive(int(network.attrs["Labels"][LABEL])):
            _remove(network)
    return engine


def _remove(leftover: Any, **options: bool) -> None:
    """Remove the container or the network of a dead run, which another run may be removing as well."""
    try:
        leftover.remove(**options)
    except APIError as error:
        if error.status_code not in _REMOVED_BY_ANOTHER:
            raise
