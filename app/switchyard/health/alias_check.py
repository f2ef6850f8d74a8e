"""A check of django-health-check for one alias, for the views, formats and commands of that library."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import timedelta

from health_check.base import HealthCheck  # type: ignore[import-untyped]  # the package has no types
from health_check.exceptions import ServiceUnavailable  # type: ignore[import-untyped]  # as above

from switchyard.health.alias_probe import PROBE_TIMEOUT_SECONDS, AliasState, probe_of


@dataclass
class AliasCheck(HealthCheck):  # type: ignore[misc]  # as above
    """Check that the alias answers, and once that its migrations are applied."""

    alias: str

    timeout = timedelta(seconds=PROBE_TIMEOUT_SECONDS)

    async def run(self) -> None:
        """Raise ServiceUnavailable unless the alias is up; within the timeout, even if the server hangs."""
        try:
            state = await asyncio.wait_for(asyncio.wrap_future(self.probe()), PROBE_TIMEOUT_SECONDS)
        except TimeoutError:
            state = AliasState.DOWN
        if state is not AliasState.UP:
            raise ServiceUnavailable(f"{self.alias} is {state}")

    def probe(self) -> "Future[AliasState]":
        """Return the state to come, for callers without an event loop."""
        return probe_of(self.alias).probe()


def states(checks: Iterable[AliasCheck]) -> dict[str, AliasState]:
    """Run the checks at the same time; an alias without an answer within the timeout is down."""
    results = {check.alias: check.probe() for check in checks}
    wait(results.values(), timeout=PROBE_TIMEOUT_SECONDS)
    return {alias: result.result() if result.done() else AliasState.DOWN for alias, result in results.items()}
