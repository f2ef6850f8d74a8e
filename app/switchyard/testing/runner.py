"""Django's test runner with mirrors that share their owner's connection, in one process and in several."""

from contextlib import ExitStack
from typing import Any

from django.db import connections
from django.test import runner

from switchyard.testing.mirrors import is_mirror, shared_mirrors

_for_this_process = ExitStack()


def _init_worker(counter: Any, *arguments: Any) -> None:
    """Connect a worker to its clones; a mirror has none, it follows its owner to the owner's."""
    _for_this_process.enter_context(shared_mirrors())
    *others, used = arguments
    used = list(connections if used is None else used)
    owners = [alias for alias in used if not is_mirror(alias)]
    runner._init_worker(counter, *others, owners)  # type: ignore[attr-defined]  # noqa: SLF001 - Django's, to be called
    for alias in filter(is_mirror, used):
        mirrored = connections.settings[alias]["TEST"]["MIRROR"]
        connections[alias].creation.set_as_test_mirror(connections.settings[mirrored])


class ParallelTestSuite(runner.ParallelTestSuite):
    """Django's, with workers whose mirrors follow the clones."""

    init_worker = _init_worker


class DiscoverRunner(runner.DiscoverRunner):
    """Django's, for `TEST_RUNNER = "switchyard.testing.DiscoverRunner"`."""

    parallel_test_suite = ParallelTestSuite

    def setup_databases(self, **kwargs: Any) -> Any:
        self._sharing = ExitStack()
        self._sharing.enter_context(shared_mirrors())
        return super().setup_databases(**kwargs)

    def teardown_databases(self, old_config: Any, **kwargs: Any) -> None:
        super().teardown_databases(old_config, **kwargs)
        self._sharing.close()
