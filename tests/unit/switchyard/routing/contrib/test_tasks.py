"""Tasks of django.tasks: what their arguments carry, and the state that they are done in."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings

pytest.importorskip("django.tasks", reason="Django 6.0 brings it.")

from django.tasks import Task, task_backends
from django.tasks.exceptions import InvalidTask, InvalidTaskBackend
from tests.support.published import at, lagging, replayed
from tests.support.queued import QUEUE, Queue

from accounts.models import User
from switchyard.routing.contrib.background import MESSAGE_KEY
from switchyard.routing.contrib.tasks import PositionBackend
from switchyard.routing.selection.select import decide
from switchyard.routing.session import context
from switchyard.routing.session.context import activate, current
from switchyard.routing.topology.replication import ReplicationSet

IMMEDIATE = "django.tasks.backends.immediate.ImmediateBackend"


class OwnTask(Task):  # type: ignore[type-arg]  # generic in its stubs only
    """A backend's own class of tasks."""


class OwnQueue(Queue):
    task_class = OwnTask


def settings(backend: str, **options: Any) -> dict[str, Any]:
    path = "switchyard.routing.contrib.tasks.PositionBackend"
    return {"default": {"BACKEND": path, "OPTIONS": {"BACKEND": backend, "OPTIONS": options}}}


def where(name: str = "") -> list[str]:
    """Say where the task's reads go, and write."""
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


def made(function: Any, **options: Any) -> Any:
    """Make a task for the backend in force, as `@task` does."""
    defaults = {"priority": 0, "backend": "default", "queue_name": "default", "run_after": None}  # Django 6.1 has them
    return task_backends["default"].task_class(func=function, **{**defaults, **options})


@pytest.fixture
def group() -> Iterator[ReplicationSet]:
    """A replica that has replayed 500; this test's state is its own."""
    with lagging("replica") as group, activate(context.task_context()):
        replayed(group, replica=500)
        yield group


def worked(result: Any) -> Any:
    """Do a queued task as workers do: by its path and JSON, in a process that knows nothing of the order."""
    message = json.dumps({"args": result.args, "kwargs": result.kwargs})
    with activate(context.task_context()):
        return result.task.call(*json.loads(message)["args"], **json.loads(message)["kwargs"])


@pytest.mark.parametrize(("owed", "alias"), [(None, "replica"), (400, "replica"), (600, "default")])
@pytest.mark.parametrize("function", [where, where_async])
def test_task__done_by_a_worker(group: ReplicationSet, function: Any, owed: int | None, alias: str) -> None:
    """It reads a replica as soon as that has what was written before the order."""
    if owed is not None:
        current().consistency.require("default", at(owed))
    with override_settings(TASKS=settings(QUEUE)):
        result = made(function).enqueue("ada")

        assert worked(result) == [alias, "ada"]


@pytest.mark.parametrize("function", [where, where_async])
def test_task__done_at_once(group: ReplicationSet, function: Any) -> None:
    """It begins with what was owed, and what it wrote is not owed by the one that ordered it."""
    current().consistency.require("default", at(600))
    with override_settings(TASKS=settings(IMMEDIATE)):
        result = made(function).enqueue(name="ada")

    assert result.return_value == ["default", "ada"]
    assert current().consistency.required == {"default": at(600)}


def test_task__failed(group: ReplicationSet) -> None:
    """What it wrote is gone as well."""
    before = current()
    with override_settings(TASKS=settings(IMMEDIATE)):
        made(fails).enqueue()

    assert current() is before
    assert current().consistency.required == {}


def test_task__async_order(group: ReplicationSet) -> None:
    """`aenqueue()` carries what the coroutine owes, once, through the backend's `enqueue()`."""
    current().consistency.require("default", at(600))
    with override_settings(TASKS=settings(QUEUE)):
        result = asyncio.run(made(where).aenqueue("ada"))

        assert worked(result) == ["default", "ada"]


def test_task__done_by_an_async_worker(group: ReplicationSet) -> None:
    """`acall()` begins with what was owed too, and leaves nothing."""
    current().consistency.require("default", at(600))
    with override_settings(TASKS=settings(QUEUE)):
        result = made(where_async).enqueue("ada")

        async def work() -> Any:
            with activate(context.task_context()) as before:
                done = await result.task.acall(*result.args, **result.kwargs)
                assert current() is before
                return done

        assert asyncio.run(work()) == ["default", "ada"]


def test_task__takes_its_context(group: ReplicationSet) -> None:
    """The context comes first, as ever."""
    current().consistency.require("default", at(600))
    with override_settings(TASKS=settings(IMMEDIATE)):
        result = made(where_in, takes_context=True).enqueue(name="ada")

    assert result.return_value == ["default", "ada", result.id]


@pytest.mark.django_db(databases=["default", "replica"], transaction=True)
def test_task__ordered_in_a_transaction(group: ReplicationSet) -> None:
    """What the transaction will have written nobody knows: the task reads the owner, whatever replicas have."""
    with override_settings(TASKS=settings(QUEUE)):
        with transaction.atomic():
            result = made(where).enqueue()
        replayed(group, replica=10_000)

        assert worked(result)[0] == "default"


@pytest.mark.django_db(databases=["default", "replica"], transaction=True)
def test_task__ordered_on_commit(group: ReplicationSet) -> None:
    """After the commit nothing is unknown any more."""
    results = []
    with override_settings(TASKS=settings(QUEUE)):
        with transaction.atomic():
            transaction.on_commit(lambda: results.append(made(where).enqueue()))

        assert worked(results[0])[0] == "replica"


def test_task__nothing_owed(group: ReplicationSet) -> None:
    """Its arguments are the caller's own."""
    with override_settings(TASKS=settings(QUEUE)):
        assert made(where).enqueue(name="ada").kwargs == {"name": "ada"}


def test_task__on_a_backend_that_carries_nothing(group: ReplicationSet) -> None:
    """A project's tests may name another backend: the task is done in fresh state all the same."""
    with override_settings(TASKS=settings(IMMEDIATE)):
        task = made(where)
    with override_settings(TASKS={"default": {"BACKEND": IMMEDIATE}}):
        assert task.enqueue().return_value == ["replica", ""]

    assert current().consistency.required == {}


def test_task__made_for_another_backend(group: ReplicationSet) -> None:
    """A task that would hand the position to its function is refused before it is stored."""
    with override_settings(TASKS={"default": {"BACKEND": QUEUE}}):
        task = made(where)
    told = r"was made for a backend without positions.*@task\(backend"
    with override_settings(TASKS=settings(QUEUE)), pytest.raises(InvalidTask, match=told):
        task.enqueue()


def test_backend__is_the_real_one() -> None:
    """A worker that asks for its own class gets it, with the options that are its own."""
    with override_settings(TASKS=settings(QUEUE, id_function="x")):
        backend = task_backends["default"]

    assert isinstance(backend, Queue)
    assert isinstance(backend, PositionBackend)
    assert backend.options == {"id_function": "x"}
    assert backend.supports_defer


def test_backend__with_tasks_of_its_own(group: ReplicationSet) -> None:
    """Its tasks are of its class, and carry."""
    current().consistency.require("default", at(600))
    with override_settings(TASKS=settings(f"{__name__}.OwnQueue")):
        task = made(where).using(queue_name="default")

        assert isinstance(task, OwnTask)
        assert MESSAGE_KEY in task.enqueue().kwargs


def test_backend__without_a_real_one() -> None:
    """The error says where to name it."""
    incomplete = {"default": {"BACKEND": "switchyard.routing.contrib.tasks.PositionBackend"}}
    told = r"TASKS\['default'\].*OPTIONS\['BACKEND'\]"
    with override_settings(TASKS=incomplete), pytest.raises(InvalidTaskBackend, match=told):
        task_backends["default"]
