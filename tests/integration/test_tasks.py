"""Tasks see the writes before their enqueueing, on a real standby without replay."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import override_settings
from tests.support.queued import QUEUE
from tests.support.servers import Servers

pytest.importorskip("django.tasks", reason="Django 6.0 brings it.")

from django.tasks import task_backends
from tests.support.waiting import until

from accounts.models import User
from switchyard.routing.monitor import monitor
from switchyard.routing.session.context import activate, task_context
from switchyard.routing.topology.replication import replication_set

pytestmark = pytest.mark.docker


def found(name: str) -> str:
    """Return the aliases on which the user was found."""
    return User.objects.get(username=name)._state.db or ""


async def found_async(name: str) -> str:
    return (await User.objects.aget(username=name))._state.db or ""


@pytest.fixture
def watched(real_databases: Servers) -> Iterator[Servers]:
    """The servers with a running monitor, and a queue of tasks."""
    path = "switchyard.routing.contrib.tasks.PositionBackend"
    tasks = {"default": {"BACKEND": path, "OPTIONS": {"BACKEND": QUEUE}}}
    with override_settings(TASKS=tasks):
        monitor.start()
        try:
            until(
                lambda: replication_set("default").snapshot.replicas[0].position is not None,
                "the position of the standby is known",
            )
            yield real_databases
        finally:
            monitor.stop()


def ordered(function: Any, *args: Any) -> Any:
    return task_backends["default"].task_class(func=function).enqueue(*args)


def worked(result: Any) -> Any:
    """Run a queued task like a worker: from its JSON, in a thread without the context of the test."""

    def work() -> Any:
        with activate(task_context()):
            message = json.loads(json.dumps({"args": result.args, "kwargs": result.kwargs}))
            try:
                return result.task.call(*message["args"], **message["kwargs"])
            finally:
                connections.close_all()

    with ThreadPoolExecutor(1) as worker:
        return worker.submit(work).result(timeout=30)


@pytest.mark.parametrize("function", [found, found_async])
def test_task__ordered_after_a_write(watched: Servers, function: Any) -> None:
    """Before the standby has replayed the write the task reads the owner, afterwards the standby."""
    with watched.held_back("replica"):
        User.objects.create(username="ada")
        result = ordered(function, "ada")
        early = worked(result)
    watched.caught_up()

    assert early == "default"
    until(lambda: worked(result) == "replica", "the standby is known to have the row")


def test_task__ordered_in_a_transaction(watched: Servers) -> None:
    """Writes between the enqueueing and the commit are seen too: the task always reads the owner."""
    with transaction.atomic():
        result = ordered(found, "ada")
        User.objects.create(username="ada")
    watched.caught_up()

    assert worked(result) == "default"


def test_task__ordered_on_commit(watched: Servers) -> None:
    """After the commit the position is known: the task reads the owner only until the standby has caught up."""
    results = []
    with watched.held_back("replica"):
        with transaction.atomic():
            User.objects.create(username="ada")
            transaction.on_commit(lambda: results.append(ordered(found, "ada")))
        early = worked(results[0])
    watched.caught_up()

    assert early == "default"
    until(lambda: worked(results[0]) == "replica", "the standby is known to have the row")
