"""Concurrent requests of one browser: whatever the order of the answers, the client keeps what it must see."""

from hypothesis import settings as hypothesis_settings
from tests.support.two_tabs import TwoTabs

TwoTabs.TestCase.settings = hypothesis_settings(max_examples=200, stateful_step_count=60, deadline=None)
test_two_tabs = TwoTabs.TestCase
