"""The query of `GET /api/users/active` on real servers: users on the standby, events on another PostgreSQL."""

import pytest
from hypothesis import HealthCheck, given, settings
from tests.support.joins import cases, check_same_as_join
from tests.support.servers import Servers

pytestmark = pytest.mark.docker


def test_user_active_list__any_rows(real_databases: Servers) -> None:
    """The query returns the same users as one SQL join of the same rows in one database, and reads the standby."""

    @settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(case=cases)
    def check(case: dict[str, object]) -> None:
        check_same_as_join(**case)  # type: ignore[arg-type]

    with real_databases.synchronous():  # so that the standby has the new rows
        check()
