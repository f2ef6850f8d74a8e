"""Count what routing refuses: statements of this program, and positions that clients sent."""

from typing import Any

from switchyard.routing import violations
from switchyard.routing.session.transfer import token_rejected
from switchyard.telemetry import counters, families


def install() -> None:
    """Count every violation and every rejected position from now on."""
    violations.connect(_count, dispatch_uid="switchyard.telemetry.violations")
    token_rejected.connect(_count_rejected, dispatch_uid="switchyard.telemetry.rejected")


def _count(*, kind: str, alias: str, **_signal: Any) -> None:
    current = counters.current()
    current.cells()[current.layout.column(families.VIOLATIONS, kind, alias)] += 1.0


def _count_rejected(*, reason: str, **_signal: Any) -> None:
    current = counters.current()
    current.cells()[current.layout.column(families.REJECTED, reason)] += 1.0
