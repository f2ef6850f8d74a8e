"""Ten thousand interleavings of the requests of two tabs, of two workers and of late replicas. No server takes part."""

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from tests.support.two_tabs import TwoTabs


class ManyInterleavings(TwoTabs):
    """As in the unit tests, and more of them."""


ManyInterleavings.TestCase.settings = hypothesis_settings(
    max_examples=10_000, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
test_many_interleavings = ManyInterleavings.TestCase
