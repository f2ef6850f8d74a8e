"""The tokens in the arguments of django.tasks, and the routing context of the tasks."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import transaction
from django.test import override_settings

pytest.importorskip("django.tasks", reason="Part of Django 6.0 and later.")

from django.tasks import Task, task_backends
from django.tasks.exceptions import InvalidTask, InvalidTaskBackend
from tests.support.published import at, lagging, replayed
from tests.support.queued import QUEUE, Queue

from accounts.models import User
from config.settings import SWITCHYARD
from switchyard.routing.contrib.background import MESSAGE_KEY
from switchyard.routing.contrib.tasks import PositionBackend
from switchyard.routing.selection.select import decide
from switchyard.routing.session import context
from switchyard.routing.session.context import activate, current
from switchyard.routing.topology.replication import ReplicationSet

IMMEDIATE = "django.tasks.backends.immediate.ImmediateBackend"


class OwnTask(Task):  # type: ignore[type-arg]  # generic in its stubs only
    """The task class of a backend that has its own."""


class OwnQueue(Queue):
    task_class = OwnTask


def settings(backend: str, **options: Any) -> dict[str, Any]:
    path = "switchyard.routing.contrib.tasks.PositionBackend"
    return {"default": {"BACKEND": path, "OPTIONS": {"BACKEND": backend, "OPTIONS": options}}}


def where(name: str = "") -> list[str]:
    """Return the alias of the task's reads, and write."""
    alias = decide(User).alias
    current().consistency.require("default", at(900))
    return [alias, name]


async def where_async(name: str = "") -> list[str]:
    return where(name)


def where_in(context: Any, name: str = "") -> list[str]:
    return [*where(name), context.task_result.id]


def fails() -> None:
    where()
    raise ValueError("as it should")


def make_task(function: Any, **options: Any) -> Any:
    """Make a task for the current backend, as `@task` does."""
    defaults = {"priority": 0, "backend": "default", "queue_name": "default", "run_after": None}  # Django 6.1 has them
    return task_backends["default"].task_class(func=function, **{**defaults, **options})


@pytest.fixture
def group() -> Iterator[ReplicationSet]:
    """A replica that has replayed 500, in a routing context of this test."""
    with lagging("replica") as group, activate(context.task_context()):
        replayed(group, replica=500)
        yield group


def run_by_worker(result: Any) -> Any:
    """Run a queued task as a worker does: from JSON, in a process that did not enqueue it."""
    message = json.dumps({"args": result.args, "kwargs": result.kwargs})
    with activate(context.task_context()):
        return result.task.call(*json.loads(message)["args"], **json.loads(message)["kwargs"])


@pytest.mark.parametrize(("required", "alias"), [(None, "replica"), (400, "replica"), (600, "default")])
@pytest.mark.parametrize("function", [where, where_async])
def test_position_backend__a_worker(group: ReplicationSet, function: Any, required: int | None, alias: str) -> None:
    """A task reads a replica that has caught up to the position required when the task was enqueued."""
    if required is not None:
        current().consistency.require("default", at(required))
    with override_settings(TASKS=settings(QUEUE)):
        result = make_task(function).enqueue("ada")

        assert run_by_worker(result) == [alias, "ada"]


@pytest.mark.parametrize("function", [where, where_async])
def test_position_backend__an_immediate_task(group: ReplicationSet, function: Any) -> None:
    """A task that runs while it is enqueued sees the caller's writes, and the caller sees its writes."""
    current().consistency.require("default", at(600))
    with override_settings(TASKS=settings(IMMEDIATE)):
        result = make_task(function).enqueue(name="ada")

    assert result.return_value == ["default", "ada"]
    assert current().consistency.required == {"default": at(900)}


@pytest.mark.parametrize("function", [where, where_async])
def test_position_task__called(group: ReplicationSet, function: Any) -> None:
    """A call of a task in a request or a task is a call of its function: each sees the writes of the other."""
    current().consistency.require("default", at(600))
    with override_settings(TASKS=settings(IMMEDIATE)):
        answers = make_task(function).call("ada")
        awaited = asyncio.run(make_task(where_async).acall("ada"))

    assert answers == awaited == ["default", "ada"]
    assert current().consistency.required == {"default": at(900)}


def test_position_task__called_by_a_worker(group: ReplicationSet) -> None:
    """A task without a token that a worker calls, outside of requests, leaves the worker no required position."""
    with override_settings(TASKS=settings(QUEUE)), activate(context._PROCESS):
        make_task(where).call()

        assert current().consistency.required == {}


def test_position_backend__a_failed_task(group: ReplicationSet) -> None:
    """The caller of a failed task sees what the task wrote before it failed."""
    before = current()
    with override_settings(TASKS=settings(IMMEDIATE)):
        make_task(fails).enqueue()

    assert current() is before
    assert current().consistency.required == {"default": at(900)}


def test_position_backend__aenqueue(group: ReplicationSet) -> None:
    """`aenqueue()` adds the token of the coroutine once, also if the backend calls its `enqueue()`."""
    current().consistency.require("default", at(600))
    with override_settings(TASKS=settings(QUEUE)):
        result = asyncio.run(make_task(where).aenqueue("ada"))

        assert run_by_worker(result) == ["default", "ada"]


def test_position_backend__an_async_worker(group: ReplicationSet) -> None:
    """`acall()` uses the token too, and restores the context of the worker."""
    current().consistency.require("default", at(600))
    with override_settings(TASKS=settings(QUEUE)):
        result = make_task(where_async).enqueue("ada")

        async def work() -> Any:
            with activate(context.task_context()) as before:
                done = await result.task.acall(*result.args, **result.kwargs)
                assert current() is before
                return done

        assert asyncio.run(work()) == ["default", "ada"]


def test_position_backend__takes_context(group: ReplicationSet) -> None:
    """The context of the task stays its first argument."""
    current().consistency.require("default", at(600))
    with override_settings(TASKS=settings(IMMEDIATE)):
        result = make_task(where_in, takes_context=True).enqueue(name="ada")

    assert result.return_value == ["default", "ada", result.id]


@pytest.mark.django_db(databases=["default", "replica"], transaction=True)
def test_position_backend__enqueued_in_a_transaction(group: ReplicationSet) -> None:
    """The position of an open transaction is unknown, so the task reads the owner."""
    with override_settings(TASKS=settings(QUEUE)):
        with transaction.atomic():
            result = make_task(where).enqueue()
        replayed(group, replica=10_000)

        assert run_by_worker(result)[0] == "default"


@pytest.mark.django_db(databases=["default", "replica"], transaction=True)
def test_position_backend__enqueued_on_commit(group: ReplicationSet) -> None:
    """A task that on_commit() enqueues may read a replica."""
    results = []
    with override_settings(TASKS=settings(QUEUE)):
        with transaction.atomic():
            transaction.on_commit(lambda: results.append(make_task(where).enqueue()))

        assert run_by_worker(results[0])[0] == "replica"


def test_position_backend__no_required_position(group: ReplicationSet) -> None:
    """Without a required position the arguments are not changed."""
    with override_settings(TASKS=settings(QUEUE)):
        assert make_task(where).enqueue(name="ada").kwargs == {"name": "ada"}


def test_position_task__on_another_backend(group: ReplicationSet) -> None:
    """On a backend without tokens an immediate task is a call of its function."""
    with override_settings(TASKS=settings(IMMEDIATE)):
        task = make_task(where)
    with override_settings(TASKS={"default": {"BACKEND": IMMEDIATE}}):
        assert task.enqueue().return_value == ["replica", ""]

    assert current().consistency.required == {"default": at(900)}


def test_position_backend__a_task_for_another_backend(group: ReplicationSet) -> None:
    """A task that would pass the token to its function is refused before it is stored."""
    with override_settings(TASKS={"default": {"BACKEND": QUEUE}}):
        task = make_task(where)
    message = r"was made for a backend without positions.*@task\(backend"
    with override_settings(TASKS=settings(QUEUE)), pytest.raises(InvalidTask, match=message):
        task.enqueue()


def test_position_backend__is_the_real_backend() -> None:
    """The backend is an instance of the real class, with the options of the real backend."""
    with override_settings(TASKS=settings(QUEUE, id_function="x")):
        backend = task_backends["default"]

    assert isinstance(backend, Queue)
    assert isinstance(backend, PositionBackend)
    assert backend.options == {"id_function": "x"}
    assert backend.supports_defer


class QueueOfAccounts(Queue):
    """A backend in an app with models, as a queue in a database is one."""

    __module__ = "accounts.queue"


QUEUES: list[tuple[str, dict[str, Any], bool]] = [
    (f"{__name__}.QueueOfAccounts", {}, True),
    (f"{__name__}.QueueOfAccounts", {"PRIMARY_ONLY": ["accounts"]}, False),
    (f"{__name__}.QueueOfAccounts", {"REPLICAS": {}}, False),
    (f"{__name__}.QueueOfAccounts", {"OWNERS": {}}, False),  # E001 reports it
    (QUEUE, {}, False),
    (IMMEDIATE, {}, False),
]


@pytest.mark.parametrize(("backend", "changes", "warned"), QUEUES)
def test_check__queue_on_a_replica(backend: str, changes: dict[str, Any], warned: bool) -> None:
    """Django's checks warn of a queue whose app is read from replicas, and the hint names the setting."""
    with override_settings(TASKS=settings(backend), SWITCHYARD={**SWITCHYARD, **changes}):
        messages = [message for message in run_checks() if message.id == "switchyard.W008"]

    assert [message.hint for message in messages] == ["Add 'accounts' to SWITCHYARD['PRIMARY_ONLY']."] * warned
    assert all("TASKS['default']" in message.msg for message in messages)


def test_position_backend__with_its_own_task_class(group: ReplicationSet) -> None:
    """Tasks have the task class of the real backend, and carry the token."""
    current().consistency.require("default", at(600))
    with override_settings(TASKS=settings(f"{__name__}.OwnQueue")):
        task = make_task(where).using(queue_name="default")

        assert isinstance(task, OwnTask)
        assert MESSAGE_KEY in task.enqueue().kwargs


def test_position_backend__without_a_real_backend() -> None:
    """The error names the option to set."""
    incomplete = {"default": {"BACKEND": "switchyard.routing.contrib.tasks.PositionBackend"}}
    message = r"TASKS\['default'\].*OPTIONS\['BACKEND'\]"
    with override_settings(TASKS=incomplete), pytest.raises(InvalidTaskBackend, match=message):
        task_backends["default"]
