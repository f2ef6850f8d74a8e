"""What follows a hit: by kind and by model, raised, logged or passed, and counted unless it passes."""

from typing import Any

import pytest
from django.test import override_settings

from accounts.models import User
from config.settings import SWITCHYARD
from legacy.models import Customer
from switchyard.conf import POLICIES
from switchyard.routing import CrossOwnerTransactionError, policies
from switchyard.routing.policies import policy_of
from switchyard.telemetry.metrics import VIOLATION_KINDS


def given(**chosen: Any) -> override_settings:
    """Set POLICIES in a block."""
    return override_settings(SWITCHYARD={**SWITCHYARD, "POLICIES": chosen})


def hit() -> CrossOwnerTransactionError:
    """Return an error to apply a policy to."""
    return CrossOwnerTransactionError(alias="analytics", others="'default'")


def test_policy__defaults() -> None:
    """They hold without a setting, and each for itself beside a setting of others."""
    assert [policy_of(kind) for kind in POLICIES] == ["raise", "raise", "warn"]
    with given(early_on_commit="allow"):
        assert [policy_of(kind) for kind in POLICIES] == ["raise", "allow", "warn"]


def test_policy__by_model() -> None:
    """A label in any letter case, a proxy as its concrete model, "*" for the others, the default without it."""
    proxy = type(
        "Proxy", (User,), {"__module__": __name__, "Meta": type("Meta", (), {"proxy": True, "app_label": "x"})}
    )
    with given(stale_save={"accounts.User": "warn", "*": "allow"}):
        assert [policy_of("stale_save", model) for model in (User, proxy, Customer)] == ["warn", "warn", "allow"]
    with given(stale_save={"ACCOUNTS.USER": "warn"}):
        assert [policy_of("stale_save", model) for model in (User, Customer)] == ["warn", "raise"]


def test_apply__raise(seen: list[tuple[str, str]]) -> None:
    """The error is raised, and counted once."""
    with given(cross_owner_transaction="raise"), pytest.raises(CrossOwnerTransactionError):
        policies.enforce(hit())

    assert seen == [("cross_owner_transaction", "analytics")]


def test_apply__warn(seen: list[tuple[str, str]], caplog: pytest.LogCaptureFixture) -> None:
    """The error's text is logged with the place where it happened, and counted."""
    with given(cross_owner_transaction="warn"):
        policies.enforce(hit())

    assert seen == [("cross_owner_transaction", "analytics")]
    assert [(record.levelname, record.message) for record in caplog.records] == [("WARNING", str(hit()))]
    assert "test_apply__warn" in str(caplog.records[0].stack_info)


def test_apply__allow(seen: list[tuple[str, str]], caplog: pytest.LogCaptureFixture) -> None:
    """Nothing happens, and nothing is counted."""
    with given(cross_owner_transaction="allow"):
        policies.enforce(hit())

    assert (seen, caplog.records) == ([], [])


def test_policies__are_counted_by_kind() -> None:
    """Each policy is a kind of violation of its own."""
    assert POLICIES.keys() <= set(VIOLATION_KINDS)
