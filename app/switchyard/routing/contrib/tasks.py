"""Tasks of `django.tasks` (Django 6.0 and later) that see all writes of the client that enqueued them.

The backend here extends the real backend of the project, and adds a token to the keyword arguments of each task: every
backend takes these to the worker. The function of the task does not get the token. The setting `TASKS` names the
backend; no other module imports it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import Any, Self

from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.checks import CheckMessage, Warning  # noqa: A004 - Django's name
from django.tasks import Task
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.exceptions import InvalidTask, InvalidTaskBackend
from django.utils.module_loading import import_string

from switchyard.routing.contrib.background import MESSAGE_KEY, task_block, token_for_task
from switchyard.routing.session.context import current, is_process_context
from switchyard.routing.topology.ownership import is_primary_only, owner_of_app, replicas_of
from switchyard.routing.topology.tables import has_owner


class KwargsWithToken(dict[str, Any]):
    """Keyword arguments that have their token already: `aenqueue()` of a backend may call its `enqueue()`."""


_enqueuing: ContextVar[bool] = ContextVar("switchyard.enqueuing", default=False)


class PositionTask(Task):  # type: ignore[type-arg]  # generic in its stubs only
    """A task that a worker runs in a routing context of its own, with the required positions of its token.

    A task that its caller runs is a function call: it sees the writes of the caller, and the caller sees its writes.
    Outside requests and tasks, `call()` cannot be told from a worker's call; there use `task.func()`.
    """

    __slots__ = ()

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task's function without the token."""
        with _block(kwargs.pop(MESSAGE_KEY, "")):
            return super().call(*args, **kwargs)

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task's function as `call()` does, from async code."""
        with _block(kwargs.pop(MESSAGE_KEY, "")):
            return await super().acall(*args, **kwargs)


def _block(token: str) -> AbstractContextManager[object]:
    is_called = not token and not is_process_context(current())
    return nullcontext() if _enqueuing.get() or is_called else task_block(token)


@contextmanager
def _enqueues() -> Iterator[None]:
    """Note in this block that a task which runs is run by the program that enqueues it."""
    before = _enqueuing.set(True)
    try:
        yield
    finally:
        _enqueuing.reset(before)


class PositionBackend(BaseTaskBackend):
    """A backend for TASKS that sends the required positions of a client along with its tasks.

    `OPTIONS["BACKEND"]` is the dotted path of the real backend, and `OPTIONS["OPTIONS"]` are its options. An instance
    is also an instance of the real backend's class, because a worker may check the class. Raises InvalidTaskBackend
    without a `BACKEND`, and InvalidTask for a task that was made for a backend without tokens.

    Enqueueing costs one query on each owner whose required position is unknown. A task that is enqueued inside a
    transaction reads that owner, for an hour at most; enqueue it with `transaction.on_commit()` to let it read a
    replica. In the settings:

        TASKS = {
            "default": {
                "BACKEND": "switchyard.routing.contrib.tasks.PositionBackend",
                "OPTIONS": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"},
            }
        }
    """

    def __new__(cls, alias: str, params: dict[str, Any]) -> Self:
        try:
            path = params["OPTIONS"]["BACKEND"]
        except KeyError:
            raise InvalidTaskBackend(
                f"TASKS['{alias}'] names no backend that runs its tasks. Set OPTIONS['BACKEND'] to its dotted path, "
                "and OPTIONS['OPTIONS'] to its own options."
            ) from None
        backend: type[Self] = _token_backend(import_string(path))
        return super().__new__(backend)

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, {**params, "OPTIONS": params["OPTIONS"].get("OPTIONS", {})})

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Return the messages of the real backend, and a warning if its queue is read from a replica."""
        return [*super().check(**kwargs), *self._check_queue()]

    def _check_queue(self) -> Iterator[CheckMessage]:
        app = apps.get_containing_app_config(type(self).__module__)
        if app is None or not any(app.get_models()) or not has_owner(app.label) or is_primary_only(app.label):
            return
        owner = owner_of_app(app.label)
        if replicas_of(owner):
            yield Warning(
                f"TASKS['{self.alias}'] keeps its queue in the app '{app.label}', which is read from replicas of "
                f"'{owner}': a worker misses new tasks, and cannot lock a task there.",
                hint=f"Add '{app.label}' to SWITCHYARD['PRIMARY_ONLY'].",
                id="switchyard.W008",
            )

    def validate_task(self, task: Any) -> None:
        """Raise InvalidTask for a task that would pass its token to its function."""
        if not isinstance(task, PositionTask):
            raise InvalidTask(
                f"Task '{task.module_path}' was made for a backend without positions: its function would get the "
                f"argument '{MESSAGE_KEY}'. Make the task with @task(backend='{self.alias}'), or make the backend of "
                "the task a PositionBackend, too."
            )
        super().validate_task(task)

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Enqueue the task with its token on the real backend, which may run it here and now."""
        with _enqueues():
            return super().enqueue(task, args, _with_token(kwargs))

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Enqueue the task with its token, which is made in a thread: it may query an owner for its position."""
        with _enqueues():
            return await super().aenqueue(task, args, await sync_to_async(_with_token)(kwargs))


def _with_token(kwargs: dict[str, Any]) -> KwargsWithToken:
    if isinstance(kwargs, KwargsWithToken):
        return kwargs
    token = token_for_task(kwargs.get(MESSAGE_KEY, ""))  # of a task that is enqueued again with its own arguments
    return KwargsWithToken(kwargs | {MESSAGE_KEY: token} if token or MESSAGE_KEY in kwargs else kwargs)


@cache
def _token_backend(backend: Any) -> Any:
    task_class = backend.task_class
    position_task = PositionTask if task_class is Task else _combine(PositionTask, task_class, __slots__=())
    return _combine(PositionBackend, backend, task_class=position_task)


def _combine(ours: type, real: type, **attributes: Any) -> type:
    """Return a class that extends the real class by ours, under the name of the real class."""
    return type(real.__name__, (ours, real), {"__module__": real.__module__, **attributes})
