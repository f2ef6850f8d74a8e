"""The policies of SWITCHYARD["POLICIES"]: raise, log a warning, allow, or redirect. Other modules find the mistakes."""

import logging
from functools import cache
from typing import Any

from django.core.signals import setting_changed
from django.db.models import Model

from switchyard.conf import POLICIES, conf
from switchyard.routing.errors import RoutingError, record_violation

_ERROR_CHOICES = ("raise", "warn", "allow")
CHOICES = {
    "stale_save": _ERROR_CHOICES,
    "early_on_commit": _ERROR_CHOICES,
    "cross_owner_transaction": _ERROR_CHOICES,
    "replica_write": ("raise", "redirect"),
}
BY_LABEL = frozenset({"stale_save", "replica_write"})  # may be a mapping by the label of a model or of an app

logger = logging.getLogger(__name__)


def policy_of(kind: str, model: type[Model] | None = None) -> str:
    """Return the policy for the kind of mistake, one of its `CHOICES`. A proxy has the policy of its concrete model."""
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
    label = label.lower()  # Django's `label_lower` keeps capitals in the label of the app
    app_label = label.partition(".")[0]
    return by_label.get(label) or by_label.get(app_label) or by_label.get("*") or POLICIES[kind]


def _clear_cache(*, setting: str, **_kwargs: Any) -> None:
    if setting == "SWITCHYARD":
        _look_up.cache_clear()


setting_changed.connect(_clear_cache, dispatch_uid="switchyard.routing.policies")
