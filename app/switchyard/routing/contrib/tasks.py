"""Tasks of `django.tasks` (Django 6.0 and later) that see what was written before they were enqueued.

A backend of this package is the project's real one and carries a position beside: in the keyword arguments, because
those reach the worker whatever the backend stores them in. The task's function never sees it. Not imported by the
rest of the package: `TASKS` names it.
"""

from functools import cache
from typing import Any, Self

from asgiref.sync import sync_to_async
from django.tasks import Task
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.exceptions import InvalidTask, InvalidTaskBackend
from django.utils.module_loading import import_string

from switchyard.routing.contrib.background import MESSAGE_KEY, task_block, token_for_task


class Carrying(dict[str, Any]):
    """Keyword arguments that carry a position already: a backend's `aenqueue` may call its `enqueue`."""


class PositionTask(Task):  # type: ignore[type-arg]  # generic in its stubs only
    """A task that is done in fresh state, which owes what its order carried."""

    __slots__ = ()

    def call(self, *args: Any, **kwargs: Any) -> Any:
        with task_block(kwargs.pop(MESSAGE_KEY, "")):
            return super().call(*args, **kwargs)

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        with task_block(kwargs.pop(MESSAGE_KEY, "")):
            return await super().acall(*args, **kwargs)


class PositionBackend(BaseTaskBackend):
    """The backend that `OPTIONS["BACKEND"]` names, with `OPTIONS["OPTIONS"]`, and a position with every task.

    An instance is one of that backend's class, too: a backend's own worker may ask for it. A task that is enqueued
    while a transaction is open reads that owner to its end; one that `transaction.on_commit()` enqueues does not.
    """

    def __new__(cls, alias: str, params: dict[str, Any]) -> Self:
        try:
            path = params["OPTIONS"]["BACKEND"]
        except KeyError:
            raise InvalidTaskBackend(
                f"TASKS['{alias}'] does not say which backend carries out its tasks. Name it in OPTIONS['BACKEND'], "
                "and give its own options in OPTIONS['OPTIONS']."
            ) from None
        backend: type[Self] = _carrying_backend(import_string(path))
        return super().__new__(backend)

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, {**params, "OPTIONS": params["OPTIONS"].get("OPTIONS", {})})

    def validate_task(self, task: Any) -> None:
        if not isinstance(task, PositionTask):
            raise InvalidTask(
                f"Task '{task.module_path}' was made for a backend without positions: its function would be called with"
                f" '{MESSAGE_KEY}'. Make it with @task(backend='{self.alias}'), or make the backend of the task a"
                " PositionBackend, too."
            )
        super().validate_task(task)

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return super().enqueue(task, args, _carrying(kwargs))  # the real backend's

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        # It may ask an owner for its position.
        return await super().aenqueue(task, args, await sync_to_async(_carrying)(kwargs))


def _carrying(kwargs: dict[str, Any]) -> Carrying:
    if isinstance(kwargs, Carrying):
        return kwargs
    token = token_for_task()
    return Carrying(kwargs | {MESSAGE_KEY: token} if token else kwargs)


@cache
def _carrying_backend(backend: Any) -> Any:
    task_class = backend.task_class
    carrying = PositionTask if task_class is Task else _over(PositionTask, task_class, __slots__=())
    return _over(PositionBackend, backend, task_class=carrying)


def _over(ours: type, real: type, **attributes: Any) -> type:
    return type(real.__name__, (ours, real), {"__module__": real.__module__, **attributes})
