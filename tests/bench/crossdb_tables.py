"""The tables of bench-crossdb: users on one server, their events and the same users on another one.

The oldest events have each user once, and the others have random users. So the newest events have any number of
distinct users, up to all of them.
"""

import datetime as dt

from tests.bench.pair import make_tables
from tests.bench.results import SMALL
from tests.support.servers import Servers

USERS, EVENTS = (200_000, 500_000) if SMALL else (2_000_000, 5_000_000)
_BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)  # an event for each second from here on
_STEP = 1_299_709  # a prime: its multiples meet each user once

# The names of users are in another order than their keys.
_USER_COLUMNS = "id, username, password, first_name, last_name, email, is_superuser, is_staff, is_active, date_joined"
_USER = "n, left({digest}, 16), '!', '', '', '', false, false, true, '2026-01-01 00:00:00'"
_POSTGRESQL_USERS = f"""
INSERT INTO accounts_user ({_USER_COLUMNS})
SELECT {_USER.format(digest="md5(n::text)")} FROM generate_series(1, {USERS}) AS n
"""
_MYSQL_USERS = f"""
INSERT INTO accounts_user ({_USER_COLUMNS})
WITH RECURSIVE numbers AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < {USERS})
SELECT {_USER.format(digest="sha2(n, 256)")} FROM numbers
"""
_EVENTS = f"""
INSERT INTO analytics_analyticsevent (id, user_id, kind, at)
SELECT
  n,
  CASE WHEN n <= {USERS} THEN n * {_STEP} % {USERS} + 1 ELSE 1 + floor(random() * {USERS}) END,
  'login',
  timestamptz '{_BEGIN.isoformat()}' + n * interval '1 second'
FROM generate_series(1::bigint, {EVENTS}) AS n
"""


def fill(servers: Servers) -> None:
    """Start `default` with the users, and `analytics` with the events and the same users."""
    for alias in ("default", "analytics"):
        servers.start_postgres(alias)
    for alias in ("default", "analytics"):
        servers.answers(alias)
        make_tables(servers, alias)
        servers.ask(alias, _POSTGRESQL_USERS, "VACUUM ANALYZE accounts_user")
    servers.ask("analytics", "SELECT setseed(0.5)", _EVENTS, "VACUUM ANALYZE analytics_analyticsevent")


def fill_mysql(servers: Servers) -> None:
    """Start `legacy`, a MySQL, with the users."""
    servers.start_mysql("legacy")
    servers.answers("legacy")
    make_tables(servers, "legacy")
    depth = f"SET SESSION cte_max_recursion_depth = {USERS}"
    servers.ask("legacy", depth, _MYSQL_USERS, "ANALYZE TABLE accounts_user")


def since_keys(servers: Servers, keys: int) -> str:
    """Return the moment since which the events have exactly this number of distinct users."""
    last = "SELECT max(at) AS at FROM analytics_analyticsevent GROUP BY user_id"
    ((at,),) = servers.ask("analytics", f"SELECT at FROM ({last}) AS last ORDER BY at DESC OFFSET {keys - 1} LIMIT 1")
    return str(at.isoformat())


def since_events(events: int) -> str:
    """Return the moment since which there is exactly this number of events."""
    return (_BEGIN + dt.timedelta(seconds=EVENTS - events + 1)).isoformat()
