"""Clients that write and then read: each scenario returns the value that the read found."""

from collections.abc import Callable
from typing import Any

from tests.bench.serving import Answer, Client

HEADER = "Switchyard-Position"


def in_post(then: str) -> Callable[[Client, str, int], Any]:
    """Return a scenario with one POST that writes and reads."""

    def scenario(client: Client, key: str, value: int) -> Any:
        return client.ask("POST", f"/write/{then}/{key}/{value}").found["value"]

    return scenario


def next_get(client: Client, key: str, value: int) -> Any:
    wrote(client, "204", key, value, status=204)
    return client.ask("GET", f"/rows/{key}").found["value"]


def redirected(client: Client, key: str, value: int) -> Any:
    answer = wrote(client, "redirect", key, value, status=303)
    return client.ask("GET", answer.headers["Location"]).found["value"]


def with_header(client: Client, key: str, value: int) -> Any:
    answer = wrote(client, "204", key, value, status=204, cookies=False)
    carried = {HEADER: answer.headers[HEADER]} if HEADER in answer.headers else {}
    return client.ask("GET", f"/rows/{key}", headers=carried, cookies=False).found["value"]


def writing_get(client: Client, key: str, value: int) -> Any:
    return client.ask("GET", f"/visit/{key}/{value}").found["value"]


def get_after_writing_get(client: Client, key: str, value: int) -> Any:
    writing_get(client, key, value)
    return client.ask("GET", f"/rows/{key}").found["value"]


def wrote(client: Client, then: str, key: str, value: int, *, status: int, cookies: bool = True) -> Answer:
    """Return the response to a write, which must have this status."""
    answer = client.ask("POST", f"/write/{then}/{key}/{value}", cookies=cookies)
    if answer.status != status:
        raise RuntimeError(f"A write was answered {answer.status}: {answer.body[:300]!r}")
    return answer


OUTSIDE = "outside a request"  # without a client; see outside.py
HEADER_ONLY = "client without cookies that sends the header"
SCENARIOS: dict[str, Callable[[Client, str, int], Any]] = {
    "create then get": in_post("get"),
    "inside atomic": in_post("atomic"),
    "same POST, while the body streams": in_post("stream"),
    "next GET after 204": next_get,
    "next GET after a redirect": redirected,
    HEADER_ONLY: with_header,
    "GET that writes": writing_get,
    "the GET after that": get_after_writing_get,
}
