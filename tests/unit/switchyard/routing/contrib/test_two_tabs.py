"""Concurrent requests of one browser: whatever the order of the answers, the client keeps what it must see."""

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from tests.support.examples import examples
from tests.support.two_tabs import TwoTabs

TwoTabs.TestCase.settings = hypothesis_settings(
    max_examples=examples(60, all_cases=10_000),
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_two_tabs = TwoTabs.TestCase
