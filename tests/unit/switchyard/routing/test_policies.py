"""Policies by kind and by model: errors are raised, logged or allowed, and counted unless they are allowed."""

from typing import Any

import pytest
from django.apps.registry import Apps
from django.db.models import Model
from django.test import override_settings

from accounts.models import User
from config.settings import SWITCHYARD
from legacy.models import Customer, Order
from switchyard.conf import POLICIES
from switchyard.routing import CrossOwnerTransactionError, policies
from switchyard.routing.policies import policy_of
from switchyard.telemetry.metrics import VIOLATION_KINDS


def given(**chosen: Any) -> override_settings:
    """Set POLICIES in a block."""
    return override_settings(SWITCHYARD={**SWITCHYARD, "POLICIES": chosen})


def violation() -> CrossOwnerTransactionError:
    """Return an error to apply a policy to."""
    return CrossOwnerTransactionError(alias="analytics", others="'default'")


def test_policy_of__defaults() -> None:
    """Each default holds unless its own policy is set."""
    assert [policy_of(kind) for kind in POLICIES] == ["raise", "raise", "warn", "raise"]
    with given(early_on_commit="allow"):
        assert [policy_of(kind) for kind in POLICIES] == ["raise", "allow", "warn", "raise"]


def test_policy_of__by_model() -> None:
    """Labels match in any letter case, proxies by their concrete model, "*" other models, else the default holds."""
    proxy = type(
        "Proxy", (User,), {"__module__": __name__, "Meta": type("Meta", (), {"proxy": True, "app_label": "x"})}
    )
    with given(stale_save={"accounts.User": "warn", "*": "allow"}):
        assert [policy_of("stale_save", model) for model in (User, proxy, Customer)] == ["warn", "warn", "allow"]
    with given(stale_save={"ACCOUNTS.USER": "warn"}):
        assert [policy_of("stale_save", model) for model in (User, Customer)] == ["warn", "raise"]


def test_policy_of__by_app() -> None:
    """The label of an app stands for its models; the label of a model decides before it, in any letter case."""
    with given(replica_write={"accounts": "redirect", "LEGACY": "redirect", "legacy.Customer": "raise"}):
        assert [policy_of("replica_write", model) for model in (User, Customer, Order)] == [
            "redirect",
            "raise",
            "redirect",
        ]


def test_policy_of__an_app_with_capitals_in_its_label() -> None:
    """The label of the app matches in any letter case, as Django keeps it."""
    capital = type(
        "Thing", (Model,), {"__module__": __name__, "Meta": type("Meta", (), {"app_label": "Shop", "apps": Apps()})}
    )
    for label in ("Shop", "shop", "Shop.Thing"):
        with given(replica_write={label: "redirect"}):
            assert policy_of("replica_write", capital) == "redirect"


def test_enforce__raise(seen: list[tuple[str, str]]) -> None:
    """The error is raised, and counted once."""
    with given(cross_owner_transaction="raise"), pytest.raises(CrossOwnerTransactionError):
        policies.enforce(violation())

    assert seen == [("cross_owner_transaction", "analytics")]


def test_enforce__warn(seen: list[tuple[str, str]], caplog: pytest.LogCaptureFixture) -> None:
    """The text of the error is logged with the stack, and counted."""
    with given(cross_owner_transaction="warn"):
        policies.enforce(violation())

    assert seen == [("cross_owner_transaction", "analytics")]
    assert [(record.levelname, record.message) for record in caplog.records] == [("WARNING", str(violation()))]
    assert "test_enforce__warn" in str(caplog.records[0].stack_info)


def test_enforce__allow(seen: list[tuple[str, str]], caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is raised, logged or counted."""
    with given(cross_owner_transaction="allow"):
        policies.enforce(violation())

    assert (seen, caplog.records) == ([], [])


def test_policies__kinds() -> None:
    """Each policy is a kind of violation, and its default is one of its choices."""
    assert POLICIES.keys() <= set(VIOLATION_KINDS)
    assert POLICIES.keys() == policies.CHOICES.keys() >= policies.BY_LABEL
    assert all(policy in policies.CHOICES[kind] for kind, policy in POLICIES.items())
