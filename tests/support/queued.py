"""A queue of Django tasks that the test itself works on. Django 6.0 and later."""

from typing import Any

from django.tasks import TaskResult, TaskResultStatus
from django.tasks.backends.base import BaseTaskBackend

QUEUE = f"{__name__}.Queue"


class Queue(BaseTaskBackend):
    """A task backend that never runs a task: the test calls the task in place of a worker."""

    supports_async_task = True
    supports_defer = True

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        self.validate_task(task)
        never = dict.fromkeys(("enqueued_at", "started_at", "finished_at", "last_attempted_at"))
        result: Any = TaskResult  # its stubs know no constructor
        return result(
            task=task,
            id="1",
            status=TaskResultStatus.READY,
            args=args,
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
            **never,
        )
