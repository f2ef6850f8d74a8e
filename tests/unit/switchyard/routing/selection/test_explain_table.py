"""route_table() and explain_route() as `manage.py routes` prints them, for people and for programs."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError, OutputWrapper
from django.db import router
from django.db.models import Model
from django.test import override_settings
from tests.support.decided import recorded

from accounts.models import User
from switchyard.management.commands.routes import Command
from switchyard.routing.session.context import activate, task_context
from switchyard.routing.topology.tables import app_labels, app_of
from switchyard.sql.classifier import classify


def routes(*arguments: str, **options: bool) -> str:
    """Return the output of the command."""
    printed = StringIO()
    call_command("routes", *arguments, stdout=printed, **options)
    return printed.getvalue()


def by_model() -> dict[str, dict[str, str]]:
    """Return the printed routes by the label of their model."""
    return {route["model"]: route for route in json.loads(routes("--json"))}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("accounts.User", ("replica", "default", "default", "replica")),
        ("analytics.AnalyticsEvent", ("analytics", "analytics", "analytics", "owner")),
        ("legacy.Order", ("legacy", "legacy", "legacy", "owner")),
        ("sessions.Session", ("default", "default", "default", "primary_only")),
    ],
)
def test_routes__as_json(model: str, expected: tuple[str, ...]) -> None:
    """Each model has its aliases and the rule that decided the read."""
    route = by_model()[model]

    assert (route["read"], route["write"], route["migrate"], route["rule"]) == expected


class LegacyRouter:
    """A router of the project."""

    def db_for_read(self, model: type[Model], **hints: object) -> str:
        return "legacy"


def test_routes__a_router_of_the_project() -> None:
    """The table shows the answers of the installed routers, and names the router that answers in place of the rules."""
    stacked = ["switchyard.routing.PrimaryReplicaRouter", "switchyard.routing.AppRouter"]

    with override_settings(DATABASE_ROUTERS=[LegacyRouter(), *stacked]):
        route = by_model()["accounts.User"]

    assert (route["read"], route["write"], route["rule"]) == ("legacy", "default", "LegacyRouter")


def test_routes__changes_nothing() -> None:
    """The command counts no decision and requires no position."""
    with activate(task_context()) as task, recorded() as decisions:
        routes()
        alias = router.db_for_read(User)

    assert [decision.alias for decision in decisions] == [alias]
    assert (task.consistency.required, task.consistency.last_replica) == ({}, {})


def test_routes__one_model() -> None:
    """The explanation lists every rule that was tried with its result, and the state of each replica."""
    printed = routes("accounts.User")

    assert "accounts.User is read from 'replica' by rule 'replica': a fit replica that has caught up." in printed
    assert "pinned (no replica has caught up with the writes or reads of this client): no" in printed
    assert "replica (a fit replica that has caught up): replica" in printed
    assert "replica 'replica': fit" in printed


def test_routes__an_unknown_model() -> None:
    """A name that no model has raises an error that shows the expected form."""
    with pytest.raises(CommandError, match=r"'accounts.Usr' is no model: give app_label.ModelName"):
        routes("accounts.Usr")


def test_routes__not_on_a_terminal() -> None:
    """Each model has one whole line and each rule is explained; the output has no colour without a terminal."""
    printed = routes()

    assert "│ accounts.User_user_permissions │ replica" in printed
    assert "replica: a fit replica that has caught up" in printed
    assert "\x1b[" not in printed


def test_routes__force_color() -> None:
    """The option `force_color` adds colour."""
    assert "\x1b[32mreplica" in routes(force_color=True)


def test_routes__help() -> None:
    """The help names every rule."""
    text = " ".join(Command(OutputWrapper(StringIO())).create_parser("manage.py", "routes").format_help().split())

    assert "in_transaction: a transaction is open on the owner" in text


def test_app_of__known_and_unknown_tables() -> None:
    """The first known table decides the app label; the labels are a closed set."""
    statement = classify('SELECT 1 FROM nothing JOIN "orders" ON 1 = 1 JOIN "customers" ON 1 = 1', "sqlite")

    assert app_of(statement.tables) == "legacy"
    assert app_of(()) == "other"
    assert {"accounts", "analytics", "legacy", "other"} <= set(app_labels())
