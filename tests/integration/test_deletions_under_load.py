"""Parents are deleted under load, workers are killed and servers restarted: at a small scale, on the four servers."""

import pytest
from tests.bench.crossdb_deletions import deletions_on
from tests.support.servers import Servers

pytestmark = pytest.mark.docker

USERS, KILLS, SEED = 1_500, 3, 12


def test_crossdb_worker__killed_under_load(servers: Servers) -> None:
    """At the end no event lacks its user, no event of a user is missing, and the audit agrees."""
    servers.clean()

    found = deletions_on(servers, users=USERS, kills=KILLS, seed=SEED)

    servers.caught_up()
    assert found.deleted > 0.85 * USERS
    assert (found.orphans, found.audited, found.wrongly_deleted, found.set_aside) == (0, 0, 0, 0)
