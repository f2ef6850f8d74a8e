"""Work that is handed on: what its message carries, and the state that it is done in. Of no queue in particular.

tasks.py and celery.py put it where their queues have room for it.
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
    """Return the token that work ordered here and now must carry; empty when it owes nothing.

    What an open transaction commits in the end, nobody knows yet: where one is open, the work reads the owner.
    """
    consistency = current().consistency.copy()
    consistency.required |= {owner: PendingPosition(inf) for owner in conf.replicas if program_transaction_on(owner)}
    return issue_token(consistency)


def task_block(token: str) -> AbstractContextManager[RoutingContext]:
    """Return the block to do the work in: fresh state that owes what the token says, gone when the block ends."""
    monitor.ensure_running()
    ledger, _ = accept_tokens((token,))
    return activate(task_context(ledger))
