"""Celery tasks that see all writes of the client that sent them. Import this module only if Celery is installed."""

from contextlib import AbstractContextManager
from typing import Any

from celery import signals  # type: ignore[import-not-found, import-untyped, unused-ignore]

from switchyard.routing.contrib.background import MESSAGE_KEY, task_block, token_for_task
from switchyard.routing.session.context import RoutingContext

_running: dict[str, AbstractContextManager[RoutingContext]] = {}  # task id -> the block that the task runs in


def connect() -> None:
    """Send the required positions of a client along with its Celery tasks. Call it once; a second call changes nothing.

    Each message that is sent afterwards carries a token in a header, and a worker runs the task with it. Sending a
    task costs one query on each owner whose required position is unknown. Where the project makes its Celery app:

        from celery import Celery
        from switchyard.routing.contrib.celery import connect

        app = Celery("mysite")
        connect()
    """
    signals.before_task_publish.connect(_add_token, weak=False, dispatch_uid="switchyard")
    signals.task_prerun.connect(_begin, weak=False, dispatch_uid="switchyard")
    signals.task_postrun.connect(_end, weak=False, dispatch_uid="switchyard")


def _add_token(*, headers: dict[str, Any], **_kwargs: Any) -> None:
    # A retry has the headers of the first message, so the first token counts as well.
    headers[MESSAGE_KEY] = token_for_task(headers.get(MESSAGE_KEY) or "")


def _begin(*, task_id: str, task: Any, **_kwargs: Any) -> None:
    if not task.request.is_eager:  # an eager task is a function call of its sender: each sees the writes of the other
        _running[task_id] = task_block(task.request.get(MESSAGE_KEY) or "")
        _running[task_id].__enter__()


def _end(*, task_id: str, **_kwargs: Any) -> None:
    if (block := _running.pop(task_id, None)) is not None:
        block.__exit__(None, None, None)
