"""The token that a background task carries, and the routing context that a worker runs it in, for any queue.

tasks.py and celery.py put the token into the messages of their queues.
"""

import time
from contextlib import AbstractContextManager

from switchyard.conf import conf
from switchyard.routing.connection_state import program_transaction_on
from switchyard.routing.monitor import monitor
from switchyard.routing.session.consistency import MAX_TRANSACTION_SECONDS, PendingPosition
from switchyard.routing.session.context import RoutingContext, activate, current, task_context
from switchyard.routing.session.transfer import accept_tokens, issue_token, merge_tokens

MESSAGE_KEY = "switchyard_position"


def token_for_task(carried: str = "") -> str:
    """Return the token for a task that is enqueued now; empty if the task requires no position.

    `carried` is the token that the message has already, for example that of an earlier attempt: the task requires what
    both require. One query on each owner with a pending position of this client. The position of an open transaction is
    not known before its commit: a task that is enqueued inside a transaction reads its owner, for an hour at most.
    """
    consistency = current().consistency.copy()
    end_at = time.monotonic() + MAX_TRANSACTION_SECONDS
    consistency.required |= {owner: PendingPosition(end_at) for owner in conf.replicas if program_transaction_on(owner)}
    token = issue_token(consistency)
    return merge_tokens((carried, token)) if carried else token


def task_block(token: str) -> AbstractContextManager[RoutingContext]:
    """Return the block that a worker runs a task in: a new routing context with the required positions of the token."""
    monitor.ensure_running()
    consistency, _ = accept_tokens((token,))
    return activate(task_context(consistency))
