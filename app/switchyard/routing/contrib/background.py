"""Work that is handed on: what its message carries, and the state that it is done in. Of no queue in particular.

tasks.py and celery.py put it where their queues have room for it.
"""

from contextlib import AbstractContextManager
from math import inf

from switchyard.conf import conf
from switchyard.routing.connection_state import alias_in_program_transaction
from switchyard.routing.monitor import monitor
from switchyard.routing.session.context import Ledger, State, Unplaced, current, task, within
from switchyard.routing.session.transfer import carried, received

NAME = "switchyard_position"


def handed_on() -> str:
    """Return the token that work ordered here and now must carry; empty when it owes nothing.

    What an open transaction commits in the end, nobody knows yet: where one is open, the work reads the owner.
    """
    ledger = current().ledger
    order = Ledger()
    order.owed, order.last, order.servers = dict(ledger.owed), dict(ledger.last), dict(ledger.servers)
    order.owed |= {owner: Unplaced(inf) for owner in conf.replicas if alias_in_program_transaction(owner)}
    return carried(order)


def work(token: str) -> AbstractContextManager[State]:
    """Return the block to do the work in: fresh state that owes what the token says, gone when the block ends."""
    monitor.ensure_running()
    ledger, _ = received((token,))
    return within(task(ledger))
