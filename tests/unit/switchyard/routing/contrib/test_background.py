"""Tokens of background tasks, whichever queue carries them."""

from collections.abc import Iterator

import pytest
from tests.support.published import at, lagging, replayed, sampled

from accounts.models import User
from switchyard.routing.contrib.background import task_block, token_for_task
from switchyard.routing.selection.select import decide
from switchyard.routing.session import context, transfer
from switchyard.routing.session.consistency import PendingPosition
from switchyard.routing.session.context import activate, current
from switchyard.routing.session.token import TokenEntry, decode
from switchyard.routing.topology.replication import ReplicationSet


@pytest.fixture
def group() -> Iterator[ReplicationSet]:
    """A replica at 4, in a routing context of this test."""
    with lagging("replica") as group, activate(context.task_context()):
        replayed(group, replica=4)
        yield group


def test_token_for_task__two_tasks_of_one_client(group: ReplicationSet) -> None:
    """Two tasks, run in any order, each see what the client wrote before it was enqueued; none changes the client."""
    current().consistency.require("default", at(5))
    first = token_for_task()
    current().consistency.require("default", at(7))
    second = token_for_task()
    for order in ((first, second), (second, first)):
        required = {}
        for token in order:
            with task_block(token) as task:
                required[token] = dict(task.consistency.required)
                current().consistency.require("default", at(100))

        assert required == {first: {"default": at(5)}, second: {"default": at(7)}}
    assert current().consistency.required == {"default": at(7)}


@pytest.mark.parametrize(("carried", "own"), [(9, 5), (5, 9)])
def test_token_for_task__message_with_a_token(group: ReplicationSet, carried: int, own: int) -> None:
    """A message that is sent again keeps its own position beside the position of its sender."""
    current().consistency.require("default", at(carried))
    first = token_for_task()
    current().consistency.require("default", at(own))

    assert decode(token_for_task(first)) == [TokenEntry("default", at(9))]


def test_token_for_task__message_with_a_token_and_nothing_new(group: ReplicationSet) -> None:
    """A sender that requires nothing does not take the position away."""
    current().consistency.require("default", at(9))
    first = token_for_task()
    with activate(context.task_context()):
        assert decode(token_for_task(first)) == [TokenEntry("default", at(9))]


def test_token_for_task__in_a_transaction(group: ReplicationSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task reads the owner, for an hour at most: then samples of the owner include the transaction."""
    monkeypatch.setattr("switchyard.routing.contrib.background.program_transaction_on", lambda _alias: object())
    monkeypatch.setattr(transfer, "_read_position", pytest.fail)
    token = token_for_task()
    sampled(group, 4)
    with task_block(token):
        sampled(group, 4)
        assert [decide(User).alias for _ in range(2)] == ["default"] * 2
        again = token_for_task()
    (entry,) = decode(token)
    assert entry.written_before is not None
    assert decode(again) == [entry]

    monkeypatch.setattr("time.time", lambda: entry.written_before + 60)
    with task_block(token) as task:
        assert decide(User).alias == "replica"
        assert not any(isinstance(each, PendingPosition) for each in task.consistency.required.values())
