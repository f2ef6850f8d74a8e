"""django-health-check's unit of a check for one alias, so that its views, formats and commands work with it."""

import asyncio
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import timedelta

from health_check.base import HealthCheck  # type: ignore[import-untyped]  # the package has no types
from health_check.exceptions import ServiceUnavailable  # type: ignore[import-untyped]  # as above

from switchyard.health.probes import DEADLINE, AliasState, probe_of


@dataclass
class AliasCheck(HealthCheck):  # type: ignore[misc]  # as above
    """Whether the alias answers, and once whether its migrations are applied."""

    alias: str

    timeout = timedelta(seconds=DEADLINE)

    async def run(self) -> None:
        """Raise ServiceUnavailable unless the alias is up; within the deadline, whatever its server does."""
        try:
            state = await asyncio.wait_for(asyncio.wrap_future(self.ask()), DEADLINE)
        except TimeoutError:
            state = AliasState.DOWN
        if state is not AliasState.UP:
            raise ServiceUnavailable(f"{self.alias} is {state}")

    def ask(self) -> "Future[AliasState]":
        """Return the state to come, for callers without an event loop."""
        return probe_of(self.alias).ask()


def states(checks: list[AliasCheck]) -> dict[str, AliasState]:
    """Run the checks side by side; what has not answered within the deadline is down."""
    answers = {check.alias: check.ask() for check in checks}
    wait(answers.values(), timeout=DEADLINE)
    return {alias: answer.result() if answer.done() else AliasState.DOWN for alias, answer in answers.items()}
