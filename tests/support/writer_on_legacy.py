"""The service with a mistake in it: a request for /write-legacy writes a customer of the older application."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from config.wsgi import application as service

PATH = "/write-legacy"


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer as the service does, and write a customer for one path."""
    if environ["PATH_INFO"] != PATH:
        return service(environ, start_response)
    write_customer()
    start_response("204 No Content", [])
    return []


def write_customer() -> None:
    """Write a customer, which the read-only owner refuses."""
    from legacy.models import Customer  # noqa: PLC0415 - needs the loaded apps
    from switchyard.routing.errors import ReadOnlyOwnerWriteError  # noqa: PLC0415 - as above

    with suppress(ReadOnlyOwnerWriteError):
        Customer.objects.update(name="ada")
