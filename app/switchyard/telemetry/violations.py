"""Count what routing's guards refuse."""

from typing import Any

from switchyard.routing import violations
from switchyard.telemetry import counters, families


def install() -> None:
    """Count every violation from now on."""
    violations.connect(_count, dispatch_uid="switchyard.telemetry.violations")


def _count(*, kind: str, alias: str, **_signal: Any) -> None:
    current = counters.current()
    current.cells()[current.layout.column(families.VIOLATIONS, kind, alias)] += 1.0
