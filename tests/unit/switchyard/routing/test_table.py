"""`manage.py routes`: the table of models, for people and for programs."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import OutputWrapper
from django.db.models import Model
from django.test import override_settings

from switchyard.management.commands.routes import Command
from switchyard.routing import app_labels, app_of, classify


def routes(*arguments: str, **options: bool) -> str:
    """Return what the command prints."""
    printed = StringIO()
    call_command("routes", *arguments, stdout=printed, **options)
    return printed.getvalue()


def by_model() -> dict[str, dict[str, str]]:
    """Return the routes by their model's label."""
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
    """Each model has its aliases and the rule that decided."""
    route = by_model()[model]

    assert (route["read"], route["write"], route["migrate"], route["rule"]) == expected


class Elsewhere:
    """A router of a project's own."""

    def db_for_read(self, model: type[Model], **hints: object) -> str:
        return "legacy"


def test_routes__a_router_of_the_projects() -> None:
    """The table says what the installed routers say, and names the one that overrules the rules."""
    stacked = ["switchyard.routing.PrimaryReplicaRouter", "switchyard.routing.AppRouter"]

    with override_settings(DATABASE_ROUTERS=[Elsewhere(), *stacked]):
        route = by_model()["accounts.User"]

    assert (route["read"], route["write"], route["rule"]) == ("legacy", "default", "Elsewhere")


def test_routes__for_people() -> None:
    """One line a model, whole however long, and the rules explained; no colour where no terminal is."""
    printed = routes()

    assert "│ accounts.User_user_permissions │ replica" in printed
    assert "replica: the first fit replica of the owner" in printed
    assert "\x1b[" not in printed


def test_routes__in_colour() -> None:
    """Colour is there when asked for."""
    assert "\x1b[32mreplica" in routes(force_color=True)


def test_routes__help() -> None:
    """The help names every rule."""
    text = " ".join(Command(OutputWrapper(StringIO())).create_parser("manage.py", "routes").format_help().split())

    assert "in_transaction: a transaction is open on the owner" in text


def test_app_of__known_and_unknown_tables() -> None:
    """The first known table names the app; the labels are a closed set."""
    statement = classify('SELECT 1 FROM nothing JOIN "orders" ON 1 = 1 JOIN "customers" ON 1 = 1', "sqlite")

    assert app_of(statement) == "legacy"
    assert app_of(classify("SELECT 1", "sqlite")) == "other"
    assert {"accounts", "analytics", "legacy", "other"} <= set(app_labels())
