"""Case 20: nothing is written, so nothing lags, whatever the clocks say."""

import time

import pytest
from tests.support.containers import until
from tests.support.servers import Servers
from tests.support.watching import Side, others

pytestmark = pytest.mark.docker

IDLE = 2.5  # seconds
AGE = "SELECT extract(epoch FROM now() - pg_last_xact_replay_timestamp())"


def test_case_20__idle_owner(watched: Servers, side: Side) -> None:
    """The replica is 0 behind all the while, though its last transaction is old; after a write it is again."""
    with others():
        side.create("ada")
    watched.caught_up(side.replica)
    until(lambda: side.judged().lag_seconds == 0, "it has caught up")
    seen = set()
    ends = time.monotonic() + IDLE
    while time.monotonic() < ends:
        judged = side.judged()
        seen.add((judged.fit, judged.lag_seconds))
        time.sleep(0.02)

    assert seen == {(True, 0.0)}
    if side.owner == "default":
        assert watched.ask(side.replica, AGE)[0][0] > IDLE / 2  # what a router by the clock takes for lag
