"""Settings of all tests: a key, a token and a data directory of their own.

The variables are for the processes that tests start. pytest-django reads the settings before this file.
"""

import os
import time
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings

DATA_DIR = Path(__file__).parents[1] / "build" / "tests"

os.environ.setdefault("DATA_DIR", str(DATA_DIR))
os.environ.setdefault("SECRET_KEY", "only-for-tests-" * 4)
os.environ.setdefault("API_TOKEN", "only-for-tests-" * 3)

settings.SECRET_KEY = os.environ["SECRET_KEY"]
settings.API_TOKEN = os.environ["API_TOKEN"]
settings.STATIC_ROOT = Path(os.environ["DATA_DIR"]) / "static"
settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)

pytest.register_assert_rewrite("tests.support.deletion_cases")  # tests that test modules import

# A slow machine must not fail a test.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Skip the test, before its fixtures start, when the time that tests/run gives is over."""
    if time.time() > float(os.environ.get("TESTS_END_AT", "inf")):
        pytest.skip("the minutes of TEST_MINUTES are over")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end, where failures are read, how to get the order of this run again."""
    seed = terminalreporter.config.getoption("randomly_seed", None)
    if seed is not None:
        terminalreporter.write_line(f"The order was random: --randomly-seed={seed}")
