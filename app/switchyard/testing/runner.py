"""Django's test runner with mirrors that share the connection of their owner, in one process and in several."""

from contextlib import ExitStack
from typing import Any

from django.db import connections
from django.test import runner

from switchyard.testing.mirrors import is_mirror, shared_mirrors

_worker_cleanup = ExitStack()


def _init_worker(counter: Any, *arguments: Any) -> None:
    """Connect a worker to its clones. A mirror has no clone: it uses the clone of its owner."""
    _worker_cleanup.enter_context(shared_mirrors())
    *others, used = arguments
    used = list(connections if used is None else used)
    owners = [alias for alias in used if not is_mirror(alias)]
    runner._init_worker(counter, *others, owners)  # type: ignore[attr-defined]  # noqa: SLF001 - Django's function has no public name
    for alias in filter(is_mirror, used):
        owner = connections.settings[alias]["TEST"]["MIRROR"]
        connections[alias].creation.set_as_test_mirror(connections.settings[owner])


class ParallelTestSuite(runner.ParallelTestSuite):
    """Django's suite, with workers whose mirrors use the clone of their owner."""

    init_worker = _init_worker


class DiscoverRunner(runner.DiscoverRunner):
    """Django's runner with `shared_mirrors()`; the same arguments, `--parallel` included.

    In the settings:

        TEST_RUNNER = "switchyard.testing.DiscoverRunner"
    """

    parallel_test_suite = ParallelTestSuite

    def setup_databases(self, **kwargs: Any) -> Any:
        self._cleanup = ExitStack()
        self._cleanup.enter_context(shared_mirrors())
        return super().setup_databases(**kwargs)

    def teardown_databases(self, old_config: Any, **kwargs: Any) -> None:
        super().teardown_databases(old_config, **kwargs)
        self._cleanup.close()
