"""The policies of SWITCHYARD["POLICIES"]: raise an error, log a warning, or allow. The mistakes are found elsewhere."""

import logging
from functools import cache
from typing import Any

from django.core.signals import setting_changed
from django.db.models import Model

from switchyard.conf import POLICIES, conf
from switchyard.routing.errors import RoutingError, record_violation

CHOICES = ("raise", "warn", "allow")

logger = logging.getLogger(__name__)


def policy_of(kind: str, model: type[Model] | None = None) -> str:
    """Return `raise`, `warn` or `allow` for the kind of mistake. A proxy has the policy of its concrete model."""
    return _look_up(kind, (model._meta.concrete_model or model)._meta.label_lower if model else "*")


def enforce(error: RoutingError, *, model: type[Model] | None = None) -> None:
    """Apply the policy of the error's kind: raise the error, log it as a warning, or do nothing.

    A raised or logged error is counted as a violation.
    """
    policy = policy_of(error.kind, model)
    if policy == "allow":
        return
    record_violation(error)
    if policy == "raise":
        raise error
    # With the stack: nothing is raised, so no traceback shows where the mistake is.
    logger.warning("%s", error, stack_info=True)


@cache
def _look_up(kind: str, label: str) -> str:
    policy = conf.policies[kind]
    if isinstance(policy, str):
        return policy
    by_label = {name.lower(): chosen for name, chosen in policy.items()}
    return by_label.get(label) or by_label.get("*") or POLICIES[kind]


def _clear_cache(*, setting: str, **_kwargs: Any) -> None:
    if setting == "SWITCHYARD":
        _look_up.cache_clear()


setting_changed.connect(_clear_cache, dispatch_uid="switchyard.routing.policies")
