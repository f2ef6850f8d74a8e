"""Parents are deleted under load, workers are killed and servers restarted: at a small scale."""

import pytest
from tests.bench.crossdb_deletions import Found, deletions, deletions_on
from tests.support.servers import Servers

pytestmark = pytest.mark.docker

USERS, KILLS, SEED = 1_000, 2, 12


def test_crossdb_worker__killed_under_load(servers: Servers) -> None:
    """On the four servers: no event lacks its user, no event of a user is missing, and the audit agrees."""
    servers.clean()

    found = deletions_on(servers, users=USERS, kills=KILLS, seed=SEED)

    servers.caught_up()
    assert_nothing_is_lost(found)


def test_crossdb_worker__parents_on_mysql() -> None:
    """Users on MySQL and events on PostgreSQL: the same holds, by the ORM and by SQL."""
    found = deletions("mysql", "postgresql", users=USERS, kills=KILLS, seed=SEED)

    assert_nothing_is_lost(found)


def assert_nothing_is_lost(found: Found) -> None:
    """Assert that most users are gone, all their events, and no others."""
    assert found.deleted > 0.85 * USERS
    assert (found.orphans, found.audited, found.wrongly_deleted, found.set_aside) == (0, 0, 0, 0)
