"""Test runs: the environment, mirrors and parallel workers."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core import signals
from django.db import connections
from django.db.backends.base.creation import BaseDatabaseCreation
from django.test import runner
from django.test import signals as test_signals
from django.test import utils as test_utils
from tests.support.noting import StopHereError, parameters

from switchyard.routing.monitor import monitor


def test_test_state__marks_a_test_environment() -> None:
    """`setup_test_environment()` leaves `_TestState.saved_data`, and `teardown_test_environment()` removes it."""
    debug = settings.DEBUG
    assert monitor.under_test()
    test_utils.teardown_test_environment()
    try:
        assert not monitor.under_test()
    finally:
        test_utils.setup_test_environment(debug=debug)
    assert hasattr(test_utils._TestState, "saved_data")


def test_creation__sets_up_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    """`setup_databases()` calls `set_as_test_mirror()` of the mirror, with the settings of its owner."""
    calls: list[tuple[str, Any]] = []

    def note(creation: Any, primary_settings_dict: Any) -> None:
        calls.append((creation.connection.alias, primary_settings_dict))

    assert parameters(BaseDatabaseCreation.set_as_test_mirror) == ["self", "primary_settings_dict"] or (
        BaseDatabaseCreation.set_as_test_mirror.__module__ == "switchyard.testing.mirrors"
    )
    monkeypatch.setattr(BaseDatabaseCreation, "set_as_test_mirror", note)
    monkeypatch.setattr(test_utils, "get_unique_databases_and_mirrors", lambda _aliases: ({}, {"replica": "default"}))
    test_utils.setup_databases(0, interactive=False)

    assert calls == [("replica", connections["default"].settings_dict)]


def test_runner__initializes_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parallel suite calls its `init_worker` with a counter first and the used aliases last."""
    given: dict[str, Any] = {}

    def pool(**arguments: Any) -> None:
        given.update(arguments)
        raise StopHereError

    def ours(counter: Any, *arguments: Any) -> None:
        given["called"] = (counter, arguments[-1])

    class Suite(runner.ParallelTestSuite):
        init_worker = ours

    suite = Suite([], processes=2)
    suite.used_aliases = {"default"}
    monkeypatch.setattr(suite, "initialize_suite", lambda: None)
    monkeypatch.setattr(runner.multiprocessing, "Pool", pool)
    with pytest.raises(StopHereError):
        suite.run(SimpleNamespace(buffer=False))
    given["initializer"](*given["initargs"])

    assert given["called"] == (given["initargs"][0], {"default"})
    assert parameters(runner._init_worker)[0] == "counter"
    assert parameters(runner._init_worker)[-1] == "used_aliases"
    assert len(parameters(runner._init_worker)) == len(given["initargs"])


def test_runner__makes_its_parallel_suite() -> None:
    """The runner makes a parallel suite of its class `parallel_test_suite`."""
    assert runner.DiscoverRunner.parallel_test_suite is runner.ParallelTestSuite
    assert "parallel_test_suite" in runner.DiscoverRunner.build_suite.__code__.co_names


def test_setting_changed__is_the_signal_of_tests() -> None:
    """`override_settings()` sends the signal that `django.core.signals` has, without an import of `django.test`."""
    assert signals.setting_changed is test_signals.setting_changed
