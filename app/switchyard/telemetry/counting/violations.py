"""Count the violations of this program, and the tokens of clients that the session rejects."""

from typing import Any

from switchyard.routing import violations
from switchyard.routing.session.transfer import token_rejected
from switchyard.telemetry import count, metrics


def install() -> None:
    """Count every violation and every rejected position from now on. A second call changes nothing."""
    violations.connect(_count_violation, dispatch_uid="switchyard.telemetry.counting.violations")
    token_rejected.connect(_count_rejected_position, dispatch_uid="switchyard.telemetry.rejected")


def _count_violation(*, kind: str, alias: str, **_signal: Any) -> None:
    count(metrics.VIOLATIONS, kind, alias)


def _count_rejected_position(*, reason: str, **_signal: Any) -> None:
    count(metrics.REJECTED, reason)
