"""Case 20: without writes no replica lags, whatever the clocks say."""

import time

import pytest
from tests.support.servers import Servers
from tests.support.waiting import until
from tests.support.watching import Side, others

pytestmark = pytest.mark.docker

IDLE = 2.5  # seconds
AGE = "SELECT extract(epoch FROM now() - pg_last_xact_replay_timestamp())"


def test_case_20__idle_owner(watched: Servers, side: Side) -> None:
    """The lag of an idle replica stays 0, though its last transaction is old; after a write it returns to 0."""
    with others():
        side.create("ada")
    watched.caught_up(side.replica)
    until(lambda: side.known_replica().lag_seconds == 0, "the replica has caught up")
    seen = set()
    ends = time.monotonic() + IDLE
    while time.monotonic() < ends:
        found = side.known_replica()
        seen.add((found.fit, found.lag_seconds))
        time.sleep(0.02)

    assert seen == {(True, 0.0)}
    if side.owner == "default":
        assert watched.ask(side.replica, AGE)[0][0] > IDLE / 2  # a router that compares clocks would call this lag
