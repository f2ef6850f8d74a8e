"""The console's page: each alias with its state as a word, a level and a colour, and the route in chosen conditions."""

import json
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
from switchyard.console.json_views import data
from switchyard.console.page.context import PARTS
from switchyard.console.views import console
from switchyard.routing.selection.rules import RULES
from switchyard.routing.topology.replication import Replica
from switchyard.templatetags.console_formats import LEVEL_SYMBOLS

ROOT = Path(__file__).parents[4]
CSS = (Path(switchyard.__file__).parent / "static" / "switchyard" / "console" / "page.css").read_text()
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


def page(parameters: str = "") -> str:
    """Return the page as a member of staff gets it."""
    request = RequestFactory().get(f"/console/?{parameters}")
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


def test_console__symbols_of_the_picture() -> None:
    """The picture has the symbols of the style sheet."""
    symbols = re.findall(r'^\.state\.([\w-]+)::before { content: "\\([0-9a-f]+)" / ""; }$', CSS, re.MULTILINE)

    assert {level: chr(int(code, 16)) for level, code in symbols} == LEVEL_SYMBOLS


def test_console__strict_policy() -> None:
    """The page holds no script and no style of its own, and names no other host."""
    text = page()

    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", text) == []
    assert re.findall(r"<script(?! src=\"/static/)", text) == []
    assert re.findall(r"(?:src|href|action)=\"(?!/|#|\")", text) == []


def test_data__parts() -> None:
    """With `parts` the data hold the content of every live element of the page."""
    request = RequestFactory().get("/console/data?parts")
    request.user = get_user_model()(is_staff=True, is_active=True)
    parts = json.loads(data(request).content)["parts"]

    assert set(re.findall(r'<(?:div|span) id="(\w+)"', page())) >= set(parts) == set(PARTS)
    assert 'id="alias-replica"' in parts["aliases"]


@pytest.mark.parametrize(
    ("parameters", "alias", "rule"),
    [
        ("", "replica", "replica"),
        ("in_transaction=1", "default", "in_transaction"),
        ("has_written=1", "default", "pinned"),
        ("unsafe_method=1", "default", "unsafe_method"),
        ("replicas_down=1", "default", "down"),
    ],
)
def test_console__route(parameters: str, alias: str, rule: str) -> None:
    """The answer to the form names the alias and the rule, and the form keeps what was chosen."""
    with published(replicas=[Replica("replica")], lag_free=False):
        text = page(f"model=accounts.User&{parameters}")

    assert f'A read goes to</dt><dd><strong>{alias}</strong> <span class="rule">{rule}</span>' in text
    assert text.count(" checked>") == bool(parameters)


def test_console__unknown_model() -> None:
    """A model that does not exist is named, with the models that exist; markup in its name stays text."""
    text = page("model=accounts.<b>")

    assert "has no model &#x27;&lt;b&gt;&#x27;. Models: " in text
    assert "<b>" not in text
