"""Fixtures of the cases: each vendor, a row that owner and replica have, and a client of the service."""

import pytest
from tests.support.servers import Servers
from tests.support.watching import SIDES, Edge, Side, others

from accounts.models import User


@pytest.fixture(params=list(SIDES))
def side(request: pytest.FixtureRequest) -> Side:
    """PostgreSQL, then MySQL."""
    return SIDES[request.param]


@pytest.fixture
def ada(watched: Servers, side: Side) -> object:
    """A row that the owner and the replica have."""
    with others():
        row = side.create("ada")
    watched.caught_up(side.replica)
    return row


@pytest.fixture
def admin(watched: Servers) -> Edge:
    """A client that is signed in as a superuser; the standby has the user and the session."""
    edge = Edge()
    with others():
        edge.sign_in(User.objects.create(username="root", is_staff=True, is_superuser=True))
    watched.caught_up()
    return edge
