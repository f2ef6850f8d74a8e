"""Read your writes: a client reads its write in its next request, with the cookie or the header.

Every client here writes over HTTP and reads while the replica is held back.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import override_settings
from tests.support.decided import recorded
from tests.support.servers import Servers
from tests.support.waiting import until
from tests.support.watching import NEW, OLD, Edge, Side, counted

from switchyard.routing.contrib.client_tokens import COOKIE, HEADER
from switchyard.routing.session.token import TokenEntry, encode
from switchyard.routing.topology.replication import replication_set
from switchyard.testing import assert_queries

OTHER_SERVER = "00000000-0000-0000-0000-000000000007"
pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("legacy_writable")]


@pytest.fixture
def legacy_writable() -> Iterator[None]:
    """Allow the admin to write customers."""
    with override_settings(LEGACY_WRITABLE=True):
        yield


def without_cookie(client: Edge) -> Edge:
    """Return a client with the same session and without required positions."""
    other = Edge()
    other.cookies.load({"sessionid": client.cookies["sessionid"].value})
    return other


def read_by(side: Side, client: Edge, **headers: str) -> str:
    """Return the alias of the client's next read of the model."""
    with recorded() as decisions:
        assert client.get(side.api, headers=headers).status_code == 200
    aliases = {each.alias for each in decisions} & {side.owner, side.replica}
    assert len(aliases) == 1
    return aliases.pop()


def test_read_your_writes__cookie_after_a_redirect(watched: Servers, side: Side, admin: Edge, ada: Any) -> None:
    """The admin's list after a deletion is without the row; later the replica is read again."""
    with watched.held_back(side.replica):
        response = admin.post(f"{side.admin}{ada.pk}/delete/", {"post": "yes"})
        assert (response.status_code, response.headers["Location"]) == (302, side.admin)
        mine = admin.get(side.admin).text
        theirs = without_cookie(admin).get(side.admin).text
    watched.caught_up(side.replica)

    assert (OLD in mine, OLD in theirs) == (False, True)
    until(lambda: read_by(side, admin) == side.replica, "the replica is known to have it")
    until(lambda: read_by(side, admin) == side.replica and not admin.tokens(), "the cookie is taken back")


def test_read_your_writes__header(watched: Servers, side: Side, admin: Edge, ada: Any) -> None:
    """A client without cookies sends the header back, and reads its own writes until the replica has them."""
    with watched.held_back(side.replica):
        written = admin.post(f"{side.admin}{ada.pk}/delete/", {"post": "yes"}).headers[HEADER]
        with_it = Edge().get(side.api, headers={HEADER: written})
        without = Edge().get(side.api)
        kept = with_it.headers.get(HEADER, written)
    watched.caught_up(side.replica)

    assert (OLD in with_it.text, OLD in without.text) == (False, True)
    until(lambda: read_by(side, Edge(), **{HEADER: kept}) == side.replica, "the replica is known to have it")
    until(lambda: Edge().get(side.api, headers={HEADER: kept}).headers[HEADER] == "", "the header is taken back")


@pytest.mark.parametrize("carries", ["cookie", "header"])
def test_read_your_writes__after_204(watched: Servers, carries: str) -> None:
    """The next GET shows the rows that the API created, changed and deleted."""
    edge, carried = Edge(), ""

    def ask(method: str, path: str, **body: Any) -> Any:
        nonlocal carried
        if carries == "header":
            edge.cookies.clear()
        headers = {HEADER: carried} if carried and carries == "header" else {}
        response = edge.generic(method, path, json.dumps(body) if body else "", "application/json", headers=headers)
        carried = response.headers.get(HEADER, carried)
        return response

    with watched.held_back():
        made = ask("POST", "/api/users", username="ada", email=OLD)
        path = made.headers["Location"]
        found = ask("GET", path)
        changed = ask("PATCH", path, email=NEW)
        seen = ask("GET", path)
        deleted = ask("DELETE", path)
        gone = ask("GET", path)

    assert [each.status_code for each in (made, found, changed, seen, deleted, gone)] == [201, 200, 200, 200, 204, 404]
    assert seen.json()["email"] == NEW


def test_read_your_writes__nothing_required(watched: Servers, side: Side, ada: Any) -> None:
    """A response without required positions sets no cookie and no header, and the replica is read."""
    edge = Edge()

    assert read_by(side, edge) == side.replica
    response = edge.get(side.api)
    assert not response.cookies
    assert not response.has_header(HEADER)


# positions of another system, and positions that the owner will never reach
FOREIGN: dict[str, Callable[[Any], Any]] = {
    "default": lambda position: position._replace(system="7"),
    "legacy": lambda position: position._replace(sources=((OTHER_SERVER, ((1, 5),)),)),
}
FUTURE: dict[str, Callable[[Any], Any]] = {
    "default": lambda position: position._replace(lsn=position.lsn + (1 << 40)),
    "legacy": lambda position: position._replace(sources=((position.sources[0][0], ((1, 1 << 40),)),)),
}


def sampled(side: Side) -> Any:
    """Return the newest sample of the owner."""
    sample = replication_set(side.owner).snapshot.owner_sample
    assert sample is not None
    return sample


@contextmanager
def rejected(reason: str) -> Iterator[None]:
    """Assert that one position is rejected in this block, for this reason."""
    before = counted("switchyard_positions_rejected_total", reason=reason)
    yield
    assert counted("switchyard_positions_rejected_total", reason=reason) == before + 1


@pytest.mark.parametrize("reason", ["forged", "other_system"])
@pytest.mark.parametrize("carried", ["cookie", "header"])
def test_token__not_ours(watched: Servers, side: Side, carried: str, reason: str) -> None:
    """A token without a valid signature, or of another system, is ignored and counted, without a query."""
    token = encode([TokenEntry(side.owner, FOREIGN[side.owner](sampled(side).status.position))])
    if reason == "forged":
        token = token[:4] + ("B" if token[4] == "A" else "A") + token[5:]  # after the identifier of the key
    edge = Edge()
    headers = {HEADER: token} if carried == "header" else {}
    if carried == "cookie":
        edge.cookies.load({COOKIE: token})

    with assert_queries(), rejected(reason):
        response = edge.get("/api/aliases", headers=headers)

    assert response.status_code == 200
    assert response.headers[HEADER] == "" if carried == "header" else not response.cookies[COOKIE].value
    assert read_by(side, edge, **headers) == side.replica


def test_token__future(watched: Servers, side: Side) -> None:
    """A position beyond the sample is accepted until a later sample does not include it; then it is counted."""
    sample = sampled(side)
    headers = {HEADER: encode([TokenEntry(side.owner, FUTURE[side.owner](sample.status.position))])}

    assert read_by(side, Edge(), **headers) == side.owner
    until(lambda: sampled(side).begun_at > sample.begun_at + 0.6, "the owner was asked twice again")
    with rejected("future"):
        assert read_by(side, Edge(), **headers) == side.replica
