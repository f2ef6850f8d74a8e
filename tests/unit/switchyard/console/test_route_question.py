"""The question where a model is read and written in supposed circumstances."""

import re
from collections.abc import Iterator

import pytest
from django.test import override_settings
from tests.support.published import lagging, replayed

from switchyard.console.route_question import QuestionError, answer
from switchyard.routing.selection.rules import RULES
from switchyard.routing.topology.replication import ReplicationSet

USER = {"app": "accounts", "model": "User"}


@pytest.fixture
def group() -> Iterator[ReplicationSet]:
    """A set with one fit replica."""
    with lagging("replica") as group:
        replayed(group, replica=500)
        yield group


@pytest.mark.parametrize(
    ("conditions", "alias", "rule"),
    [
        ({}, "replica", "replica"),
        ({"in_transaction": "1"}, "default", "in_transaction"),
        ({"has_written": "true"}, "default", "pinned"),
        ({"unsafe_method": "on"}, "default", "unsafe_method"),
        ({"replicas_down": "1"}, "default", "down"),
        ({"unsafe_method": "1", "in_transaction": "1"}, "default", "in_transaction"),
        ({"unsafe_method": "0", "in_transaction": ""}, "replica", "replica"),
    ],
)
@pytest.mark.usefixtures("group")
def test_answer__read(conditions: dict[str, str], alias: str, rule: str) -> None:
    """The rules decide as they would in these circumstances."""
    read = answer({**USER, **conditions})["read"]

    assert (read["alias"], read["rule"]) == (alias, rule)
    assert read["description"] == dict(RULES)[rule]
    assert read["rules"][-1] == {"rule": rule, "description": dict(RULES)[rule], "alias": alias}


@pytest.mark.usefixtures("group")
def test_answer__write() -> None:
    """A write goes to the owner."""
    found = answer(USER)

    assert (found["model"], found["owner"]) == ("accounts.User", "default")
    assert found["write"] == {"alias": "default", "rule": "write", "description": "a write goes to the owner"}


def test_answer__write_on_a_read_only_owner() -> None:
    """The answer says that such a write is refused."""
    write = answer({"app": "legacy", "model": "customer"})["write"]

    assert write["alias"] == "legacy"
    assert "refused" in write["description"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "Name the model"),
        ({"app": "accounts"}, "Name the model"),
        ({"app": "nobody", "model": "User"}, "No app has the label 'nobody'. Labels: accounts,"),
        ({"app": "accounts", "model": "Nothing"}, "has no model 'Nothing'. Models: User,"),
        ({**USER, "colour": "1"}, "Unknown parameter 'colour'. Parameters: app, model, in_transaction,"),
        ({**USER, "has_written": "maybe"}, "has_written is 'maybe': send 1"),
    ],
)
def test_answer__wrong_parameters(parameters: dict[str, str], message: str) -> None:
    """The message names the wrong value and the right ones."""
    with pytest.raises(QuestionError, match=re.escape(message)):
        answer(parameters)


@override_settings(SWITCHYARD={"OWNERS": {}})
def test_answer__app_without_owner() -> None:
    """An app without an owner has no route, and the message says what to do."""
    with pytest.raises(QuestionError, match=r"App 'accounts' has no owner\. Add it"):
        answer(USER)
