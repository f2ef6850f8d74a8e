"""`GET /api/users/active`'s query on real servers: users of the standby, events of another PostgreSQL."""

import pytest
from hypothesis import HealthCheck, given, settings
from tests.support.joins import cases, check_same_as_join
from tests.support.servers import Servers

pytestmark = pytest.mark.docker


def test_user_active_list__any_rows(real_databases: Servers) -> None:
    """The same users as one SQL join over the same rows in a single database, read from the standby."""

    @settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(case=cases)
    def check(case: dict[str, object]) -> None:
        check_same_as_join(**case)  # type: ignore[arg-type]

    with real_databases.synchronous():  # so the standby has what was stored a moment ago
        check()
