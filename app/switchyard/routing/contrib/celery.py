"""Celery tasks that see what was written before they were sent. Imported only by those who have Celery.

`switchyard.routing.celery.connect()`, once where the project makes its Celery app, is all that it takes: the position
travels in a header of the task's message.
"""

from contextlib import AbstractContextManager
from typing import Any

from celery import signals  # type: ignore[import-not-found, import-untyped, unused-ignore]

from switchyard.routing.contrib.background import MESSAGE_KEY, task_block, token_for_task
from switchyard.routing.session.context import RoutingContext

_under_way: dict[str, AbstractContextManager[RoutingContext]] = {}  # task id -> the block that it is done in


def connect() -> None:
    """Let every message that is sent from now on carry a position, and every task begin with what it was sent."""
    signals.before_task_publish.connect(_send, weak=False, dispatch_uid="switchyard")
    signals.task_prerun.connect(_begin, weak=False, dispatch_uid="switchyard")
    signals.task_postrun.connect(_end, weak=False, dispatch_uid="switchyard")


def _send(*, headers: dict[str, Any], **_kwargs: Any) -> None:
    # A retry has the headers of the message before.
    headers[MESSAGE_KEY] = token_for_task()


def _begin(*, task_id: str, task: Any, **_kwargs: Any) -> None:
    # An eager task is done where it was ordered, without a message.
    token = token_for_task() if task.request.is_eager else task.request.get(MESSAGE_KEY)
    _under_way[task_id] = task_block(token or "")
    _under_way[task_id].__enter__()


def _end(*, task_id: str, **_kwargs: Any) -> None:
    if (block := _under_way.pop(task_id, None)) is not None:
        block.__exit__(None, None, None)
