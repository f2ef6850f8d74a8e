"""The token that a background task carries, and the routing context that a worker runs it in, for any queue.

tasks.py and celery.py put the token into the messages of their queues.
"""

from contextlib import AbstractContextManager
from math import inf

from switchyard.conf import conf
from switchyard.routing.connection_state import program_transaction_on
from switchyard.routing.monitor import monitor
from switchyard.routing.session.consistency import PendingPosition
from switchyard.routing.session.context import RoutingContext, activate, current, task_context
from switchyard.routing.session.transfer import accept_tokens, issue_token

MESSAGE_KEY = "switchyard_position"


def token_for_task() -> str:
    """Return the token for a task that is enqueued now; empty if the task requires no position.

    One query on each owner whose required position is unknown. The position of an open transaction is not known before
    its commit: a task that is enqueued inside a transaction therefore reads its owner.
    """
    consistency = current().consistency.copy()
    consistency.required |= {owner: PendingPosition(inf) for owner in conf.replicas if program_transaction_on(owner)}
    return issue_token(consistency)


def task_block(token: str) -> AbstractContextManager[RoutingContext]:
    """Return the block that a worker runs a task in: a new routing context with the required positions of the token."""
    monitor.ensure_running()
    consistency, _ = accept_tokens((token,))
    return activate(task_context(consistency))
