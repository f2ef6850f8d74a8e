"""The console's page: each alias with its state as a word, a level and a colour, and the rules for reads."""

import re
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.test import RequestFactory
from django.utils.html import escape
from tests.support.published import published

import switchyard
from switchyard.console.aliases import LEVELS, alias_row
from switchyard.console.explanations import EXPLANATIONS
from switchyard.console.views import console
from switchyard.routing.selection.rules import RULES
from switchyard.routing.topology.replication import Replica

ROOT = Path(__file__).parents[4]
CSS = (Path(switchyard.__file__).parent / "static" / "switchyard" / "console.css").read_text()
OWNER_REASONS = ("down", "standby", "read_only", "superseded")
REPLICA_LEVELS = {
    "fit": "good",
    "lagging": "warning",
    "conflict": "warning",
    "unverified": "warning",
    "down": "error",
    "promoted": "error",
    "other_system": "error",
    "superseded": "error",
    "empty": "error",
    "unmigrated": "error",
}


def page() -> str:
    """Return the page as a member of staff gets it."""
    request = RequestFactory().get("/console/")
    request.user = get_user_model()(is_staff=True, is_active=True)
    return console(request).content.decode()


def shown_states(text: str) -> list[tuple[str, str]]:
    """Return the class and the word of each state on the page."""
    return re.findall(r'<span class="state ([\w-]+)">([^<]+)</span>', text)


@pytest.mark.parametrize(("state", "level"), REPLICA_LEVELS.items())
def test_alias_row__state_of_a_replica(state: str, level: str) -> None:
    """The row shows the reason for which the replica is unfit, and its level."""
    with published(replicas=[Replica("replica", "" if state == "fit" else state)]):
        row = alias_row("replica")

    assert (row.role, row.state, row.level) == ("replica of default", state, level)


@pytest.mark.parametrize("reason", OWNER_REASONS)
def test_alias_row__unavailable_owner(reason: str) -> None:
    """The row shows the reason for which the owner must not be written."""
    with published(unavailable_reason=reason):
        row = alias_row("default")

    assert (row.role, row.state, row.level) == ("primary", f"unavailable ({reason})", "error")


@pytest.mark.parametrize(
    ("alias", "state", "level"), [("default", "read-write", "good"), ("legacy", "read-only", "neutral")]
)
def test_alias_row__available_owner(alias: str, state: str, level: str) -> None:
    """The row shows whether the owner takes writes outside `allow_writes()`."""
    row = alias_row(alias)

    assert (row.state, row.level) == (state, level)


def test_alias_row__documented_states() -> None:
    """The tests above cover every state of docs/consistency.md; `no lag` is a word of `manage.py replicas` only."""
    section = (ROOT / "docs" / "consistency.md").read_text().split("\n## States of a server\n")[1].split("\n## ")[0]
    of_replicas, of_owners = section.split("| state of an owner |")

    assert set(re.findall(r"^\| `([^`]+)` \|", of_replicas, re.MULTILINE)) - {"no lag"} == set(REPLICA_LEVELS)
    assert set(re.findall(r"^\| `([^`]+)` \|", of_owners, re.MULTILINE)) == set(OWNER_REASONS)


def test_explanations__states() -> None:
    """Each state that a row may have is explained in a sentence."""
    of_owners = {"read-write", "read-only", *(f"unavailable ({reason})" for reason in OWNER_REASONS)}

    assert EXPLANATIONS.keys() == REPLICA_LEVELS.keys() | of_owners
    assert all(sentence.endswith(".") for sentence in EXPLANATIONS.values())


def test_console__states() -> None:
    """The page shows the state of each alias as a word, with its level as a class."""
    with published(replicas=[Replica("replica", "lagging")], unavailable_reason="standby"):
        states = shown_states(page())

    assert ("warning", "lagging") in states
    assert ("error", "unavailable (standby)") in states
    assert ("neutral", "read-only") in states


@pytest.mark.parametrize("level", sorted({*LEVELS.values(), "error"}))
def test_console__level_without_colours(level: str) -> None:
    """Each level has a colour, and a symbol that no other level has."""
    symbols = re.findall(r"^\.state\.[\w-]+::before { content: (.+); }$", CSS, re.MULTILINE)

    assert re.search(rf"^\.state\.{level} {{ color: var\(--\w+\); }}$", CSS, re.MULTILINE)
    assert re.search(rf"^\.state\.{level}::before {{ content: ", CSS, re.MULTILINE)
    assert len(set(symbols)) == len(symbols) == len({*LEVELS.values(), "error"})


def test_console__rules() -> None:
    """The page explains each rule for reads."""
    explained = [f"<strong>{rule.name}</strong>: {escape(rule.description)}<" for rule in RULES]

    assert re.findall(r"<strong>\w+</strong>: [^<]+<", page()) == explained
